//! Master keys: they wrap data keys and nothing else, and never enter the event store.
//!
//! Who names the file they are in is not here (`options`).

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, NONCE_LEN, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use secrecy::zeroize::{Zeroize, Zeroizing};

use crate::cipher::{KEY_BYTES, Secret, decrypt, encrypt};
use crate::error::MasterKeyError;

/// Tools differ in whether they end base64 with `=`.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The master keys of a store. The first one wraps new data keys, all of them unwrap. Clones share
/// the keys.
#[derive(Clone)]
pub struct MasterKeys {
    keys: Arc<[MasterKey]>,
}

/// One of them.
struct MasterKey {
    /// The first 8 hexadecimal digits of its SHA-256.
    id: String,
    key: LessSafeKey,
}

/// A data key, wrapped.
pub(crate) struct Wrapped {
    /// Base64: 12 bytes of nonce, 32 of the key, 16 of tag.
    pub(crate) wrapped: String,
    pub(crate) master_key_id: String,
}

/// Why a data key cannot be unwrapped.
pub(crate) enum Stuck {
    /// It was wrapped under a master key that is not here.
    OtherMasterKey,
    /// It was wrapped for another person, or changed.
    NotAuthentic,
}

impl MasterKeys {
    /// One or more keys, separated by white space: each is 32 bytes in base64. Lines that begin with
    /// `#` are left out.
    ///
    /// # Errors
    /// [`MasterKeyError::Empty`], or [`MasterKeyError::NotAKey`] with the number of the key.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(str::split_whitespace);
        let keys = words
            .zip(1..)
            .map(|(word, number)| {
                let secret = decoded(word).ok_or(MasterKeyError::NotAKey { number })?;
                Ok(MasterKey::new(&secret))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(MasterKeyError::Empty);
        }
        Ok(Self { keys: keys.into() })
    }

    /// The keys in a file, see [`MasterKeys::parse`].
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let text = fs::read_to_string(path).map_err(|source| MasterKeyError::file(path, source))?;
        Self::parse(&Zeroizing::new(text)).map_err(|source| MasterKeyError::Content {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// The keys in a file; a new one, in a file that only its owner can read, if there is none.
    ///
    /// # Errors
    /// When the file cannot be created or read, or holds something else.
    pub fn read_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        if !path.exists() {
            create(path).map_err(|source| MasterKeyError::file(path, source))?;
        }
        Self::read(path)
    }

    /// One new key that is nowhere else: what is sealed with it is lost with it. For tests.
    pub fn random() -> Self {
        Self { keys: Arc::new([MasterKey::new(&random())]) }
    }

    /// The id of the key that wraps new data keys: the first 8 hexadecimal digits of its SHA-256.
    pub fn id(&self) -> &str {
        &self.first().id
    }

    fn first(&self) -> &MasterKey {
        &self.keys[0]
    }

    /// Wraps a data key, for what is `authenticated` with it.
    ///
    /// The nonce is random, which is safe for 2³² data keys per master key (NIST SP 800-38D §8.3).
    pub(crate) fn wrap(&self, authenticated: &[u8], secret: &Secret) -> Wrapped {
        let MasterKey { id, key } = self.first();
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce);
        let wrapped = encrypt(key, nonce, authenticated, Zeroizing::new(secret.to_vec()));
        Wrapped { wrapped: STANDARD.encode(wrapped), master_key_id: id.clone() }
    }

    pub(crate) fn unwrap(
        &self,
        authenticated: &[u8],
        wrapped: &str,
        master_key_id: &str,
    ) -> Result<Secret, Stuck> {
        let named = |key: &&MasterKey| key.id == master_key_id;
        let MasterKey { key, .. } = self.keys.iter().find(named).ok_or(Stuck::OtherMasterKey)?;
        let unwrapped = STANDARD
            .decode(wrapped)
            .map_err(|_not_base64| Unspecified)
            .and_then(|wrapped| decrypt(key, authenticated, &wrapped));
        unwrapped.ok().and_then(|bytes| secret_of(&bytes)).ok_or(Stuck::NotAuthentic)
    }
}

impl MasterKey {
    #[expect(clippy::expect_used, reason = "fails for another number of bytes only")]
    fn new(secret: &Secret) -> Self {
        let digest = digest::digest(&digest::SHA256, &secret[..]);
        let [a, b, c, d, ..] = *digest.as_ref() else { unreachable!("it has 32 bytes") };
        let id = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
        let key = UnboundKey::new(&AES_256_GCM, &secret[..]).expect("32 bytes");
        Self { id, key: LessSafeKey::new(key) }
    }
}

/// 32 random bytes.
pub(crate) fn random() -> Secret {
    let mut secret = Secret::default();
    fill(&mut secret[..]);
    secret
}

#[expect(clippy::expect_used, reason = "without random numbers no key is safe")]
fn fill(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system gives random numbers");
}

fn decoded(word: &str) -> Option<Secret> {
    let bytes = LENIENT.decode(word).ok().map(Zeroizing::new)?;
    secret_of(&bytes)
}

fn secret_of(bytes: &[u8]) -> Option<Secret> {
    let mut array: [u8; KEY_BYTES] = bytes.try_into().ok()?;
    let secret = Zeroizing::new(array);
    array.zeroize();
    Some(secret)
}

/// The file appears whole or not at all, and never replaces another: two processes that start at
/// once agree, and a crash leaves no half a key.
fn create(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    // The mode above counts only for a file that was not left behind by an earlier crash.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "# Opens every person's data. Back it up, apart from the data.")?;
    let key = Zeroizing::new(STANDARD.encode(&random()[..]));
    writeln!(file, "{}", *key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_tuple("MasterKeys").field(&ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 bytes `A`.
    const KEY: &str = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";

    #[test]
    fn keys_are_read_with_or_without_padding_and_comments() {
        let unpadded = KEY.trim_end_matches('=');
        for text in [KEY, unpadded, &format!("# ours\n  {KEY}\n\n"), &format!("{KEY} {unpadded}")] {
            assert_eq!(MasterKeys::parse(text).unwrap().id(), "22a48051", "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        let short = STANDARD.encode([7; 31]);
        for (text, number) in [("secret!", 1), (&*short, 1), (&format!("{KEY}\n{short}"), 2)] {
            let error = MasterKeys::parse(text).unwrap_err();
            assert!(
                matches!(error, MasterKeyError::NotAKey { number: n } if n == number),
                "{text}"
            );
            assert!(!format!("{error} {error:?}").contains(text));
        }
        assert!(matches!(MasterKeys::parse("# nothing\n"), Err(MasterKeyError::Empty)));
    }

    #[test]
    fn a_wrapped_key_comes_back_for_the_same_person_only() {
        let (masters, secret) = (MasterKeys::random(), random());
        let Wrapped { wrapped, master_key_id } = masters.wrap(b"jane", &secret);
        let unwrapped = masters.unwrap(b"jane", &wrapped, &master_key_id);
        assert!(unwrapped.is_ok_and(|unwrapped| unwrapped == secret));
        let stuck = |outcome| match outcome {
            Ok(_) => panic!("unwrapped"),
            Err(Stuck::NotAuthentic) => "not authentic",
            Err(Stuck::OtherMasterKey) => "other master key",
        };
        assert_eq!(stuck(masters.unwrap(b"john", &wrapped, &master_key_id)), "not authentic");
        let other = MasterKeys::random().unwrap(b"jane", &wrapped, &master_key_id);
        assert_eq!(stuck(other), "other master key");
    }

    #[test]
    fn a_new_key_is_kept_in_a_file_for_its_owner_only_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/master-key");
        let first = MasterKeys::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKeys::read_or_create(&path).unwrap().id(), first.id());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn keys_are_not_printed() {
        let printed = format!("{:?}", MasterKeys::parse(KEY).unwrap());
        assert_eq!(printed, r#"MasterKeys(["22a48051"])"#);
    }
}

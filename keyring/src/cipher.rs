//! Sealing and opening under one data key: AES-256-GCM (NIST SP 800-38D) with synthetic nonces.
//!
//! Where keys come from is not here.
//!
//! # Nonces
//!
//! Placing an order twice must meet the very same order, and an order is compared with its sealed
//! parts. So the same text sealed for the same place has to be the same value, which a random nonce
//! prevents. The nonce is therefore the first 96 bits of HMAC-SHA-256 over the place and the text (as
//! in SIV, RFC 5297, with another function), under a key of its own: from the data key two keys are derived (HKDF,
//! RFC 5869), one for nonces and one for encrypting.
//!
//! - What it reveals: that two values which were sealed for the same place are equal. Nothing about
//!   values in different places, not even that, since the place goes into the nonce.
//! - When it breaks: GCM must not use a nonce for two texts under one key. Two different texts get the
//!   same one with probability 2⁻⁹⁶ per pair, so among 2²⁰ values of **one person**, with less than
//!   2⁻⁵⁶. Each person has their own key, so persons do not add up.
//! - Lengths are not hidden.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{error::Unspecified, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use uuid::Uuid;

/// Bytes of a data key, and of a master key.
pub(crate) const KEY_BYTES: usize = 32;

/// Bytes of a key, overwritten when they are done with.
pub(crate) type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// The key that one person's data are sealed under.
pub(crate) struct DataKey {
    id: Uuid,
    encrypting: LessSafeKey,
    nonces: hmac::Key,
}

impl DataKey {
    #[expect(clippy::expect_used, reason = "only asking for more than 8160 bytes fails")]
    pub(crate) fn new(id: Uuid, secret: &Secret) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"orderstore personal data 1");
        let derived = salt.extract(&secret[..]);
        let encrypting = derived.expand(&[b"encrypting"], &AES_256_GCM).expect("32 bytes");
        let nonces = derived.expand(&[b"nonces"], hmac::HMAC_SHA256).expect("32 bytes");
        Self {
            id,
            encrypting: LessSafeKey::new(UnboundKey::from(encrypting)),
            nonces: hmac::Key::from(nonces),
        }
    }

    pub(crate) const fn id(&self) -> Uuid {
        self.id
    }

    /// Seals `clear` together with what is only `authenticated`: base64 of nonce, text and tag.
    pub(crate) fn seal(&self, authenticated: &[u8], clear: Zeroizing<Vec<u8>>) -> String {
        let nonce = self.nonce(authenticated, &clear);
        STANDARD.encode(encrypt(&self.encrypting, nonce, authenticated, clear))
    }

    /// What was sealed, if it was sealed under this key with the same `authenticated`.
    pub(crate) fn open(
        &self,
        authenticated: &[u8],
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let sealed = STANDARD.decode(sealed).map_err(|_not_base64| Unspecified)?;
        decrypt(&self.encrypting, authenticated, &sealed)
    }

    fn nonce(&self, authenticated: &[u8], clear: &[u8]) -> [u8; NONCE_LEN] {
        let mut mac = hmac::Context::with_key(&self.nonces);
        mac.update(&(authenticated.len() as u64).to_be_bytes());
        mac.update(authenticated);
        mac.update(clear);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&mac.sign().as_ref()[..NONCE_LEN]);
        nonce
    }
}

/// Nonce, encrypted text and tag.
#[expect(clippy::expect_used, reason = "only a text of more than 64 GiB fails")]
pub(crate) fn encrypt(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    authenticated: &[u8],
    mut text: Zeroizing<Vec<u8>>,
) -> Vec<u8> {
    let (unique, associated) = (Nonce::assume_unique_for_key(nonce), Aad::from(authenticated));
    // Encrypted where it lies, and the tag beside it: growing would leave a copy of it in memory.
    let tag = key.seal_in_place_separate_tag(unique, associated, &mut text);
    let tag = tag.expect("the text is short");
    [&nonce[..], &text[..], tag.as_ref()].concat()
}

/// The text of what [`encrypt`] made with the same key and the same `authenticated`.
pub(crate) fn decrypt(
    key: &LessSafeKey,
    authenticated: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = key.open_in_place(nonce, Aad::from(authenticated), &mut text)?.len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::new(Uuid::from_u128(byte.into()), &Zeroizing::new([byte; KEY_BYTES]))
    }

    fn clear(text: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    #[test]
    fn what_is_sealed_opens_under_the_same_key_at_the_same_place_only() {
        let sealed = key(1).seal(b"here", clear("Jane Doe"));
        assert_eq!(**key(1).open(b"here", &sealed).unwrap(), *b"Jane Doe");
        assert!(key(1).open(b"there", &sealed).is_err());
        assert!(key(2).open(b"here", &sealed).is_err());
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let sealed = STANDARD.decode(key(1).seal(b"here", clear("Jane Doe"))).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key(1).open(b"here", &STANDARD.encode(changed)).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key(1).open(b"here", &STANDARD.encode(&sealed[..length])).is_err());
        }
        assert!(key(1).open(b"here", "not base64").is_err());
    }

    #[test]
    fn the_same_text_is_the_same_value_at_the_same_place_only() {
        let sealed = key(1).seal(b"here", clear("Jane Doe"));
        assert_eq!(sealed, key(1).seal(b"here", clear("Jane Doe")));
        assert_ne!(sealed, key(1).seal(b"here", clear("John Doe")));
        let nonce = |sealed: &str| sealed[..16].to_owned();
        assert_ne!(nonce(&sealed), nonce(&key(1).seal(b"there", clear("Jane Doe"))));
        assert_ne!(nonce(&sealed), nonce(&key(2).seal(b"here", clear("Jane Doe"))));
        assert_ne!(nonce(&sealed), nonce(&key(1).seal(b"her", clear("eJane Doe"))));
    }

    #[test]
    fn an_empty_text_can_be_sealed_as_well() {
        let sealed = key(1).seal(b"here", clear(""));
        assert!(key(1).open(b"here", &sealed).unwrap().is_empty());
    }

    /// What is stored must stay readable: this value was sealed when the format was made.
    #[test]
    fn the_format_does_not_change() {
        let sealed = "jiZ+IuzFv1hvKPrlFFgzAxv5qfdZ0bksreEjd0tGafjPtB3t";
        assert_eq!(key(1).seal(b"here", clear("Jane Doe")), sealed);
    }
}

//! Tokens for a developer's own machine: a random secret in the data directory, one client that
//! may do everything. Production brings its own issuer.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{Error, Scopes, Verifier, secret_in};

/// Name of the file in the data directory that holds the secret.
pub const SECRET_FILE: &str = "development-jwt-secret";

const SUBJECT: &str = "client:development";
const VALID_FOR: TimeDelta = TimeDelta::days(30);

/// Issues tokens to `client:development`.
#[derive(Debug)]
pub struct DevelopmentIssuer {
    secret: SecretString,
    path: PathBuf,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    iat: i64,
    exp: i64,
    scope: String,
}

impl DevelopmentIssuer {
    /// The issuer of `data_dir`: loads its secret, or makes one up that only the owner can read.
    ///
    /// # Errors
    /// When the file cannot be read or created, or holds too little.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(SECRET_FILE);
        create(&path)?;
        let text = String::from_utf8_lossy(&secret_in(&path)?).into_owned();
        Ok(Self { secret: text.into(), path })
    }

    /// What verifies this issuer's tokens, meant for `audience`.
    ///
    /// # Errors
    /// When the secret is too short, because somebody wrote the file.
    pub fn verifier(&self, audience: &str, issuer: Option<&str>) -> Result<Verifier, Error> {
        Verifier::with_secret(self.secret.expose_secret().as_bytes(), &self.path, audience, issuer)
    }

    /// A token with every scope for `client:development`, valid for 30 days from `now`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(
        &self,
        audience: &str,
        issuer: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<String, Error> {
        let claims = Claims {
            sub: SUBJECT,
            aud: audience,
            iss: issuer,
            iat: now.timestamp(),
            exp: (now + VALID_FOR).timestamp(),
            scope: Scopes::all().to_string(),
        };
        let key = EncodingKey::from_secret(self.secret.expose_secret().as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(Error::Signing)
    }
}

/// Creates the file unless it is there. It appears whole or not at all, so that two processes that
/// start at once agree and a crash leaves no half a secret.
fn create(path: &Path) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    let failed = |source| Error::File { what: "create", path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut random = [0_u8; 32];
    rand::rng().fill_bytes(&mut random);
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    // The mode above counts only for a file that was not left behind by an earlier crash.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(random)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

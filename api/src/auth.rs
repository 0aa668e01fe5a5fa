//! Who is asking, and what they may do: access tokens (JWT, RFC 7519) and their scopes.
//!
//! Which operation needs which scope is not here but in `graphql::access`.

mod development;
mod scope;

pub use development::{DevelopmentIssuer, SECRET_FILE};
pub use scope::{Scope, Scopes};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use thiserror::Error;

use crate::Options;

/// Shorter secrets can be guessed: RFC 7518 §3.2 asks for as many bits as the hash has.
const SHORTEST_SECRET: usize = 32;
/// Longest `sub` that is taken; it is written into every event.
const LONGEST_SUBJECT: usize = 128;
/// Clocks of issuer and server may differ by so many seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Somebody whose access token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who: `client:…` or `user:…`. Stored with every event they cause, and part of what order ids
    /// are derived from.
    pub actor: Arc<str>,
    /// What they may do.
    pub scopes: Scopes,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no token.
    #[error("an access token is missing; send the header `Authorization: Bearer …`")]
    Missing,
    /// What there is, is not a bearer token.
    #[error("the authorization is not `Bearer` followed by an access token")]
    NotBearer,
    /// The token was good once.
    #[error("the access token has expired; get a new one")]
    Expired,
    /// The token is meant for somebody else.
    #[error("the access token is meant for another audience than `{expected}`")]
    OtherAudience {
        /// Who we are.
        expected: String,
    },
    /// The token was issued by somebody else.
    #[error("the access token was not issued by the issuer that is trusted here")]
    OtherIssuer,
    /// The token is not signed with our key, malformed, or lacks something.
    #[error("the access token is not valid: {reason}")]
    Invalid {
        /// Why, without the token.
        reason: String,
    },
}

/// Why tokens cannot be verified at all.
#[derive(Debug, Error)]
pub enum Error {
    /// Neither key was named.
    #[error(
        "nothing to verify access tokens with: give --jwt-secret-file or --jwt-public-key-file"
    )]
    NoKey,
    /// A file cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// Read or written.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A secret can be guessed.
    #[error("the secret in {} has {length} bytes, at least {SHORTEST_SECRET} are needed", path.display())]
    ShortSecret {
        /// Which file.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
    /// A file is no public key.
    #[error("{} is not a public key (PEM) of Ed25519, P-256 or RSA", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
    },
    /// A token could not be signed.
    #[error("the development token could not be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

/// Verifies access tokens. Clones share the key.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    key: DecodingKey,
    validation: Validation,
    audience: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default)]
    scope: String,
}

impl Verifier {
    /// The verifier that `options` ask for.
    ///
    /// # Errors
    /// When no key is named, or the file is unusable.
    pub fn from_options(options: &Options) -> Result<Self, Error> {
        let (audience, issuer) = (&options.jwt_audience, options.jwt_issuer.as_deref());
        if let Some(path) = &options.jwt_secret_file {
            return Self::with_secret(&secret_in(path)?, path, audience, issuer);
        }
        let path = options.jwt_public_key_file.as_ref().ok_or(Error::NoKey)?;
        let pem = read(path)?;
        let (key, algorithm) =
            public_key(&pem).ok_or_else(|| Error::NotAKey { path: path.clone() })?;
        Ok(Self::new(key, algorithm, audience, issuer))
    }

    /// Verifies tokens that are signed (HS256) with `secret`, which was read from `path`.
    fn with_secret(
        secret: &[u8],
        path: &Path,
        audience: &str,
        issuer: Option<&str>,
    ) -> Result<Self, Error> {
        if secret.len() < SHORTEST_SECRET {
            return Err(Error::ShortSecret { path: path.to_owned(), length: secret.len() });
        }
        Ok(Self::new(DecodingKey::from_secret(secret), Algorithm::HS256, audience, issuer))
    }

    /// One key has one algorithm: what the token says about itself is never followed (RFC 8725 §3.1).
    fn new(key: DecodingKey, algorithm: Algorithm, audience: &str, issuer: Option<&str>) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_audience(&[audience]);
        let mut required = vec!["exp", "aud", "sub"];
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let audience = audience.to_owned();
        Self { inner: Arc::new(Inner { key, validation, audience }) }
    }

    /// Who sent this `Authorization` header, or this `authorization` in a WebSocket's
    /// `connection_init`.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn verify_header(&self, authorization: Option<&str>) -> Result<Identity, Refused> {
        let authorization = authorization.map(str::trim).ok_or(Refused::Missing)?;
        let (scheme, token) = authorization.split_once(' ').ok_or(Refused::NotBearer)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::NotBearer);
        }
        self.verify(token.trim())
    }

    /// Whose `token` this is.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn verify(&self, token: &str) -> Result<Identity, Refused> {
        let Inner { key, validation, .. } = &*self.inner;
        let claims = jsonwebtoken::decode::<Claims>(token, key, validation)
            .map_err(|error| self.refusal(&error))?
            .claims;
        Ok(Identity {
            actor: actor(&claims.sub)?.into(),
            scopes: Scopes::parse(&claims.scope),
            expires_at: i64::try_from(claims.exp)
                .ok()
                .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's errors, not ours")]
    fn refusal(&self, error: &jsonwebtoken::errors::Error) -> Refused {
        use jsonwebtoken::errors::ErrorKind;
        match error.kind() {
            ErrorKind::ExpiredSignature => Refused::Expired,
            ErrorKind::InvalidAudience => {
                Refused::OtherAudience { expected: self.inner.audience.clone() }
            }
            ErrorKind::InvalidIssuer => Refused::OtherIssuer,
            other => Refused::Invalid { reason: format!("{other:?}") },
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { validation, .. } = &*self.inner;
        f.debug_struct("Verifier").field("validation", validation).finish_non_exhaustive()
    }
}

/// People may share a token's issuer with programs, so `user:…` and `client:…` are kept; anything
/// else is a program.
fn actor(subject: &str) -> Result<String, Refused> {
    let invalid = |reason: &str| Refused::Invalid { reason: reason.to_owned() };
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT {
        return Err(invalid("`sub` must have 1 to 128 characters"));
    }
    if !subject.chars().all(|c| c.is_ascii_graphic()) {
        return Err(invalid("`sub` must be printable ASCII without spaces"));
    }
    let named = ["user:", "client:"]
        .iter()
        .any(|kind| subject.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
    Ok(if named { subject.to_owned() } else { format!("client:{subject}") })
}

fn public_key(pem: &[u8]) -> Option<(DecodingKey, Algorithm)> {
    DecodingKey::from_ed_pem(pem)
        .map(|key| (key, Algorithm::EdDSA))
        .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256)))
        .or_else(|_| DecodingKey::from_rsa_pem(pem).map(|key| (key, Algorithm::RS256)))
        .ok()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

/// Editors and `echo` end a file with a line break, which is not part of the secret.
fn secret_in(path: &Path) -> Result<Vec<u8>, Error> {
    let mut secret = read(path)?;
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    Ok(secret)
}

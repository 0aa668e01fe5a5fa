//! Passwords: how they are hashed, on threads that may take their time, and how one that was
//! verified is recognised without hashing it again.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, PasswordHash};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{error::Unspecified, hmac};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes computed at a time. Each takes 19 MiB and a core for some milliseconds, and anybody who
/// reaches the port can ask for one.
const AT_A_TIME: usize = 2;

/// Callers that may wait for one. More come only from an attack, and would wait for long.
const WAITING: usize = 256;

/// What is verified when there is no such user, so that the answer takes as long as for a real one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a hash was not computed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashingFailed {
    #[error("too many logins at a time; try again later")]
    Busy,
    /// No randomness, or no thread.
    #[error("a password could not be hashed")]
    Broken,
}

/// Hashes and verifies passwords with Argon2id.
#[derive(Debug)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    waiting: Semaphore,
}

/// The right to compute one hash.
#[derive(Debug)]
pub(crate) struct Turn(OwnedSemaphorePermit);

impl Turn {
    /// A hash with a salt of its own, as a text that says how it was computed.
    pub(crate) async fn hash(self, password: &SecretString) -> Result<String, HashingFailed> {
        let password = password.clone();
        self.compute(move || {
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|_| HashingFailed::Broken)
        })
        .await?
    }

    /// Whether this is the password behind the hash. Without a hash it is not, after the same time.
    pub(crate) async fn verify(
        self,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, HashingFailed> {
        let password = password.clone();
        let (exists, hash) = (hash.is_some(), hash.unwrap_or(NOBODY).to_owned());
        self.compute(move || {
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            let password = password.expose_secret().as_bytes();
            Argon2::default().verify_password(password, &hash).is_ok() && exists
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingFailed> {
        let computing = tokio::task::spawn_blocking(move || {
            let result = work();
            // Held by the work itself: a caller who goes away does not make it cheaper.
            drop(self.0);
            result
        });
        computing.await.map_err(|_| HashingFailed::Broken)
    }
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_A_TIME)), waiting: Semaphore::new(WAITING) }
    }

    /// Waits until a hash may be computed.
    pub(crate) async fn turn(&self) -> Result<Turn, HashingFailed> {
        let _waiting = self.waiting.try_acquire().map_err(|_| HashingFailed::Busy)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map(Turn).map_err(|_| HashingFailed::Broken)
    }
}

/// Tells whether a password is one that was verified before. Not the password, nor a hash to attack.
#[derive(Clone)]
pub(crate) struct Print(hmac::Tag);

impl std::fmt::Debug for Print {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Print")
    }
}

/// Makes prints of passwords, with a key of its own: they are worth nothing outside this process.
#[derive(Debug)]
pub(crate) struct Prints(hmac::Key);

impl Prints {
    pub(crate) fn new() -> Result<Self, HashingFailed> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|Unspecified| HashingFailed::Broken)
    }

    pub(crate) fn of(&self, password: &SecretString) -> Print {
        Print(hmac::sign(&self.0, password.expose_secret().as_bytes()))
    }

    /// Whether the print is that of this password; takes the same time for any.
    pub(crate) fn matches(&self, password: &SecretString, print: &Print) -> bool {
        let password = password.expose_secret().as_bytes();
        hmac::verify(&self.0, password, print.0.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hash(passwords: &Passwords, password: &str) -> String {
        passwords.turn().await.unwrap().hash(&password.into()).await.unwrap()
    }

    async fn verifies(passwords: &Passwords, password: &str, hash: Option<&str>) -> bool {
        passwords.turn().await.unwrap().verify(&password.into(), hash).await.unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_salted_and_verifies_its_password_only() {
        let passwords = Passwords::new();
        let first = hash(&passwords, "changeit").await;
        assert_ne!(first, hash(&passwords, "changeit").await);
        assert!(first.starts_with("$argon2id$") && !first.contains("changeit"), "{first}");
        assert!(verifies(&passwords, "changeit", Some(&first)).await);
        assert!(!verifies(&passwords, "other", Some(&first)).await);
    }

    #[tokio::test]
    async fn nothing_verifies_against_no_hash_or_a_broken_one() {
        let passwords = Passwords::new();
        assert!(!verifies(&passwords, "changeit", None).await);
        assert!(!verifies(&passwords, "changeit", Some("")).await);
    }

    #[tokio::test]
    async fn who_would_wait_for_too_long_is_told_at_once() {
        let passwords = Passwords::new();
        let taken = [passwords.turn().await.unwrap(), passwords.turn().await.unwrap()];
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(passwords.turn())).collect();
        for turn in &mut waiting {
            assert!(futures::poll!(turn).is_pending());
        }
        assert!(matches!(passwords.turn().await, Err(HashingFailed::Busy)));
        drop(taken);
        for turn in waiting {
            turn.await.unwrap();
        }
        passwords.turn().await.unwrap();
    }

    #[test]
    fn the_hash_of_nobody_is_one_that_takes_as_long() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(hash.algorithm.as_str(), "argon2id");
        let (params, ours) = (argon2::Params::try_from(&hash).unwrap(), argon2::Params::default());
        let cost = |params: &argon2::Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(cost(&params), cost(&ours));
    }

    #[test]
    fn a_print_recognises_its_password_in_this_run_only() {
        let prints = Prints::new().unwrap();
        let print = prints.of(&SecretString::from("changeit"));
        assert!(prints.matches(&SecretString::from("changeit"), &print));
        assert!(!prints.matches(&SecretString::from("other"), &print));
        assert!(!Prints::new().unwrap().matches(&SecretString::from("changeit"), &print));
    }
}

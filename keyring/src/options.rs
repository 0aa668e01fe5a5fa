//! Where the master keys come from when a process is started.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::{MasterKeyError, MasterKeys};

/// Where the master keys are.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// File with the master key that opens everybody's personal data: 32 bytes in base64, or several,
    /// of which the first one is used from now on. `ORDERSTORE_MASTER_KEY` may hold the key itself
    #[arg(
        long,
        value_name = "FILE",
        env = "ORDERSTORE_MASTER_KEY_FILE",
        conflicts_with = "master_key"
    )]
    pub master_key_file: Option<PathBuf>,

    /// The key itself. Meant for the environment: a command line can be read by others
    #[arg(
        long,
        hide = true,
        env = "ORDERSTORE_MASTER_KEY",
        hide_env_values = true,
        value_parser = secret
    )]
    pub master_key: Option<SecretString>,
}

impl Options {
    /// The keys that were named.
    ///
    /// # Errors
    /// [`MasterKeyError::NotGiven`] when none was; others when what was named is no key.
    pub fn master_keys(&self) -> Result<MasterKeys, MasterKeyError> {
        match (&self.master_key_file, &self.master_key) {
            (Some(path), _) => MasterKeys::read(path),
            (None, Some(text)) => MasterKeys::parse(text.expose_secret()),
            (None, None) => Err(MasterKeyError::NotGiven),
        }
    }

    /// The keys that were named, or those in `file`, which is created if it is missing.
    ///
    /// # Errors
    /// When what was named is no key, or the file cannot be created.
    pub fn master_keys_or_in(&self, file: &Path) -> Result<MasterKeys, MasterKeyError> {
        match self.master_keys() {
            Err(MasterKeyError::NotGiven) => MasterKeys::read_or_create(file),
            given => given,
        }
    }
}

/// Never fails, because the command line's own error would quote the key.
#[expect(clippy::unnecessary_wraps, reason = "the signature that clap asks for")]
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    const KEY: &str = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";

    fn options(arguments: &[&str]) -> Options {
        Program::try_parse_from([&["program"], arguments].concat()).unwrap().options
    }

    #[test]
    fn without_a_key_there_is_an_error_that_says_how_to_make_one() {
        let error = options(&[]).master_keys().unwrap_err();
        assert!(matches!(error, MasterKeyError::NotGiven));
        assert!(error.to_string().contains("openssl rand -base64 32"));
    }

    #[test]
    fn a_file_that_is_missing_is_an_error_unless_it_may_be_created() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let named = options(&["--master-key-file", missing.to_str().unwrap()]);
        assert!(matches!(named.master_keys(), Err(MasterKeyError::File { .. })));
        let other = folder.path().join("other");
        assert!(matches!(named.master_keys_or_in(&other), Err(MasterKeyError::File { .. })));
        let created = options(&[]).master_keys_or_in(&missing).unwrap();
        assert_eq!(named.master_keys().unwrap().id(), created.id());
    }

    #[test]
    fn a_key_is_never_printed_not_even_a_malformed_one() {
        for key in [KEY, "s3cret"] {
            let options = options(&["--master-key", key]);
            let outcome = options.master_keys();
            assert!(!format!("{options:?} {outcome:?}").contains(key), "{options:?} {outcome:?}");
        }
    }

    #[test]
    fn keys_come_from_one_place() {
        let both = ["program", "--master-key-file", "a", "--master-key", KEY];
        assert!(Program::try_parse_from(both).is_err());
    }
}

//! How the embedded event store is guarded: the settings of every command that starts one.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use embedded_store::{Authentication, Tls};
use secrecy::{ExposeSecret as _, SecretString};

/// TLS and logins of the embedded event store. Without any of these it has neither.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(crate) struct StoreSecurity {
    /// Encrypt the event store's connections with the certificate in this PEM file, followed by those
    /// that lead to one that clients trust
    #[arg(
        long = "event-store-tls-certificate",
        value_name = "FILE",
        env = "ORDERSTORE_EVENT_STORE_TLS_CERTIFICATE",
        requires = "tls_key"
    )]
    tls_certificate: Option<PathBuf>,
    /// Private key of that certificate, a PEM file
    #[arg(
        long = "event-store-tls-key",
        value_name = "FILE",
        env = "ORDERSTORE_EVENT_STORE_TLS_KEY",
        requires = "tls_certificate"
    )]
    tls_key: Option<PathBuf>,
    /// Encrypt the event store's connections with a certificate of its own making. Clients have to be
    /// given the file `tls/ca.crt` in its data directory
    #[arg(
        long = "event-store-tls-development",
        env = "ORDERSTORE_EVENT_STORE_TLS_DEVELOPMENT",
        conflicts_with = "tls_certificate"
    )]
    tls_development: bool,
    /// Ask callers of the event store for login and password, and enforce access lists. A new store
    /// needs a password for its user `admin`
    #[arg(long = "event-store-login", env = "ORDERSTORE_EVENT_STORE_LOGIN")]
    login: bool,
    /// Let callers without a login use the streams that access lists do not close
    #[arg(
        long = "event-store-anonymous-streams",
        env = "ORDERSTORE_EVENT_STORE_ANONYMOUS_STREAMS",
        requires = "login"
    )]
    anonymous_streams: bool,
    /// File with the password of the user `admin`, who is created with it in a new store.
    /// `ORDERSTORE_EVENT_STORE_ADMIN_PASSWORD` may hold the password itself
    #[arg(
        long = "event-store-admin-password-file",
        value_name = "FILE",
        env = "ORDERSTORE_EVENT_STORE_ADMIN_PASSWORD_FILE",
        conflicts_with = "admin_password"
    )]
    admin_password_file: Option<PathBuf>,
    /// The password itself. Meant for the environment: a command line can be read by others
    #[arg(
        long = "event-store-admin-password",
        hide = true,
        env = "ORDERSTORE_EVENT_STORE_ADMIN_PASSWORD",
        hide_env_values = true,
        value_parser = secret
    )]
    admin_password: Option<SecretString>,
    /// File with the password of the user `ops`, who is created with it in a new store.
    /// `ORDERSTORE_EVENT_STORE_OPS_PASSWORD` may hold the password itself
    #[arg(
        long = "event-store-ops-password-file",
        value_name = "FILE",
        env = "ORDERSTORE_EVENT_STORE_OPS_PASSWORD_FILE",
        conflicts_with = "ops_password"
    )]
    ops_password_file: Option<PathBuf>,
    /// The password itself. Meant for the environment: a command line can be read by others
    #[arg(
        long = "event-store-ops-password",
        hide = true,
        env = "ORDERSTORE_EVENT_STORE_OPS_PASSWORD",
        hide_env_values = true,
        value_parser = secret
    )]
    ops_password: Option<SecretString>,
}

impl StoreSecurity {
    /// The store's options with these settings.
    pub(crate) fn apply(
        &self,
        options: embedded_store::Options,
    ) -> anyhow::Result<embedded_store::Options> {
        let tls = match (&self.tls_certificate, &self.tls_key) {
            (Some(chain), Some(key)) => {
                Some(Tls::Files { certificate_chain: chain.clone(), private_key: key.clone() })
            }
            _ => self.tls_development.then_some(Tls::Development),
        };
        let authentication = if self.login {
            Some(Authentication {
                admin_password: self.admin_password()?,
                ops_password: given(self.ops_password.as_ref(), self.ops_password_file.as_deref())?,
                anonymous_streams: self.anonymous_streams,
            })
        } else {
            None
        };
        Ok(embedded_store::Options { tls, authentication, ..options })
    }

    /// The address with which this process itself gets in, from the one that names nobody.
    pub(crate) fn own_address(&self, address: &str) -> anyhow::Result<String> {
        if !self.login {
            return Ok(address.to_owned());
        }
        let password = self.admin_password()?.context(
            "to log in to its own event store, this command needs the password of the user admin: \
             give --event-store-admin-password-file",
        )?;
        let password = password.expose_secret();
        ensure!(
            password.chars().all(|it| it.is_ascii_alphanumeric() || "-._~".contains(it)),
            "for this command, the password of the user admin may hold letters, digits and -._~ only: \
             it becomes part of an address"
        );
        Ok(address.replacen("://", &format!("://admin:{password}@"), 1))
    }

    /// The store's refusal to start, in terms of these settings.
    pub(crate) fn explain(error: embedded_store::Error) -> anyhow::Error {
        if matches!(error, embedded_store::Error::NoAdmin) {
            return anyhow!(
                "the event store has no user admin yet; give a password for it with \
                 --event-store-admin-password-file, or in ORDERSTORE_EVENT_STORE_ADMIN_PASSWORD"
            );
        }
        error.into()
    }

    fn admin_password(&self) -> anyhow::Result<Option<SecretString>> {
        given(self.admin_password.as_ref(), self.admin_password_file.as_deref())
    }
}

fn given(
    password: Option<&SecretString>,
    file: Option<&Path>,
) -> anyhow::Result<Option<SecretString>> {
    let Some(file) = file else { return Ok(password.cloned()) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the password in {}", file.display()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "the password in {} is empty", file.display());
    Ok(Some(SecretString::from(password)))
}

/// Never fails, because the command line's own error would quote the password.
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
        security: StoreSecurity,
    }

    fn parsed(arguments: &[&str]) -> Result<StoreSecurity, clap::Error> {
        let program = Program::try_parse_from(std::iter::once(&"program").chain(arguments))?;
        Ok(program.security)
    }

    fn applied(arguments: &[&str]) -> embedded_store::Options {
        parsed(arguments).unwrap().apply(embedded_store::Options::default()).unwrap()
    }

    #[test]
    fn nothing_is_guarded_by_default() {
        let options = applied(&[]);
        assert!(options.tls.is_none() && options.authentication.is_none());
        let address = "esdb://127.0.0.1:2113?tls=false";
        assert_eq!(parsed(&[]).unwrap().own_address(address).unwrap(), address);
    }

    #[test]
    fn a_certificate_comes_with_its_key_or_is_made_here() {
        let files = ["--event-store-tls-certificate", "a.crt", "--event-store-tls-key", "a.key"];
        assert!(matches!(applied(&files).tls, Some(Tls::Files { .. })));
        assert_eq!(applied(&["--event-store-tls-development"]).tls, Some(Tls::Development));
        parsed(&files[..2]).unwrap_err();
        parsed(&[&files[..], &["--event-store-tls-development"]].concat()).unwrap_err();
    }

    #[test]
    fn passwords_come_from_files_or_directly_and_are_not_printed() {
        let file = std::env::temp_dir().join(format!("store-security-{}", std::process::id()));
        std::fs::write(&file, "from a file\n").unwrap();
        let security = parsed(&[
            "--event-store-login",
            "--event-store-admin-password",
            "secret",
            "--event-store-ops-password-file",
            file.to_str().unwrap(),
        ])
        .unwrap();
        let options = security.apply(embedded_store::Options::default()).unwrap();
        std::fs::remove_file(&file).unwrap();
        let authentication = options.authentication.as_ref().unwrap();
        let exposed =
            |password: &Option<SecretString>| password.as_ref().unwrap().expose_secret().to_owned();
        assert_eq!(exposed(&authentication.admin_password), "secret");
        assert_eq!(exposed(&authentication.ops_password), "from a file");
        assert!(!format!("{security:?} {options:?}").contains("secret\""));
    }

    #[test]
    fn the_process_itself_logs_in_as_administrator() {
        let with = |password| {
            parsed(&["--event-store-login", "--event-store-admin-password", password]).unwrap()
        };
        let address = "esdb://127.0.0.1:2113?tls=false";
        let own = with("changeit").own_address(address).unwrap();
        assert_eq!(own, "esdb://admin:changeit@127.0.0.1:2113?tls=false");
        with("a@b").own_address(address).unwrap_err();
        parsed(&["--event-store-login"]).unwrap().own_address(address).unwrap_err();
    }
}

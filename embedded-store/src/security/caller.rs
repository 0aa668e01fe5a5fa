//! Who calls: what the headers say, and who that turned out to be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use super::access_list::ADMINS;

/// The user who may do everything whatever the groups say, as on EventStoreDB.
pub(crate) const ADMIN: &str = "admin";

/// The user who may operate the server whatever the groups say.
pub(crate) const OPS: &str = "ops";

/// The group that may operate the server.
pub(crate) const OPERATORS: &str = "$ops";

/// Whoever calls, recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// No credentials were given.
    Anonymous,
    User {
        login: Box<str>,
        groups: Vec<Box<str>>,
    },
}

impl Caller {
    pub(crate) fn user(login: &str, groups: impl IntoIterator<Item = String>) -> Self {
        let groups = groups.into_iter().map(String::into_boxed_str).collect();
        Self::User { login: login.into(), groups }
    }

    /// Whether a list that names this user or group means the caller.
    pub(crate) fn is(&self, role: &str) -> bool {
        self.is_login(role) || self.is_in(role)
    }

    fn is_in(&self, group: &str) -> bool {
        match self {
            Self::Anonymous => false,
            Self::User { groups, .. } => groups.iter().any(|it| &**it == group),
        }
    }

    /// Whether the caller is the user of this name.
    pub(crate) fn is_login(&self, name: &str) -> bool {
        match self {
            Self::Anonymous => false,
            Self::User { login, .. } => &**login == name,
        }
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.is_login(ADMIN) || self.is_in(ADMINS)
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.is_admin() || self.is_login(OPS) || self.is_in(OPERATORS)
    }
}

/// What a caller says it is, not yet verified.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) login: String,
    pub(crate) password: SecretString,
}

impl Credentials {
    /// Reads an `authorization` header. Nothing if it is not what this server understands: a login
    /// without a colon, and a password of which any part may be one, in base 64.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        let (scheme, encoded) = header.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim_ascii()).ok()?).ok()?;
        let (login, password) = decoded.split_once(':')?;
        let (login, password) = (login.to_owned(), SecretString::from(password));
        drop(SecretString::from(decoded));
        Some(Self { login, password })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parsed(text: &str) -> Option<(String, String)> {
        let credentials = Credentials::parse(text.as_bytes())?;
        Some((credentials.login, credentials.password.expose_secret().to_owned()))
    }

    #[test]
    fn basic_credentials_are_a_login_and_a_password_that_may_hold_colons() {
        assert_eq!(parsed("Basic YWRtaW46YTpi"), Some(("admin".into(), "a:b".into())));
        assert_eq!(parsed("basic YWRtaW46"), Some(("admin".into(), String::new())));
    }

    #[test]
    fn other_headers_are_no_credentials() {
        for header in
            ["", "Basic", "Basic !", "Bearer YWRtaW46YQ==", "Basic YWRtaW4=", "Basic //79"]
        {
            assert_eq!(parsed(header), None, "{header}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials::parse(b"Basic YWRtaW46c2VjcmV0").unwrap();
        assert!(!format!("{credentials:?}").contains("secret\""), "{credentials:?}");
    }

    #[test]
    fn the_user_admin_and_its_group_may_do_everything_operators_less() {
        assert!(Caller::user(ADMIN, []).is_admin());
        assert!(Caller::user("ann", [ADMINS.to_owned()]).is_admin());
        assert!(Caller::user(ADMIN, []).is_operator());
        assert!(Caller::user("ann", [OPERATORS.to_owned()]).is_operator());
        assert!(!Caller::user(OPS, []).is_admin());
        assert!(!Caller::user("ann", []).is_operator());
        assert!(!Caller::Anonymous.is_operator());
    }
}

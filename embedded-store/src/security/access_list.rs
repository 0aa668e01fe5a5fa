//! Access control lists: how they are written in a stream's metadata and in `$settings`, and which
//! of them decides. Pure.

use serde_json::{Map, Value};

use super::caller::Caller;

/// The group that everybody is in, whoever they are.
const EVERYBODY: &str = "$all";

/// The group that may do everything.
pub(crate) const ADMINS: &str = "$admins";

/// A right that a list gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Write,
    Delete,
    ReadMetadata,
    WriteMetadata,
}

/// Users and groups.
type Roles = Vec<Box<str>>;

/// Who has which right. A right that a list does not mention is decided by the next list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AccessList {
    read: Option<Roles>,
    write: Option<Roles>,
    delete: Option<Roles>,
    read_metadata: Option<Roles>,
    write_metadata: Option<Roles>,
}

impl AccessList {
    fn parse(fields: &Map<String, Value>) -> Self {
        let roles = |name| fields.get(name).and_then(parse_roles);
        Self {
            read: roles("$r"),
            write: roles("$w"),
            delete: roles("$d"),
            read_metadata: roles("$mr"),
            write_metadata: roles("$mw"),
        }
    }

    fn roles(&self, right: Right) -> Option<&Roles> {
        match right {
            Right::Read => self.read.as_ref(),
            Right::Write => self.write.as_ref(),
            Right::Delete => self.delete.as_ref(),
            Right::ReadMetadata => self.read_metadata.as_ref(),
            Right::WriteMetadata => self.write_metadata.as_ref(),
        }
    }
}

/// A name or a list of names. What is neither gives the right to nobody: whoever wrote it wanted a
/// restriction.
fn parse_roles(value: &Value) -> Option<Roles> {
    match value {
        Value::Null => None,
        Value::String(role) => Some(vec![role.as_str().into()]),
        Value::Array(roles) => {
            Some(roles.iter().filter_map(Value::as_str).map(Into::into).collect())
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(Roles::new()),
    }
}

/// What a stream's metadata say about access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamAccess {
    /// The stream has a list of its own.
    Own(AccessList),
    /// The default list for ordinary streams, by its name.
    LikeUserStreams,
    /// The default list for system streams, by its name.
    LikeSystemStreams,
}

impl StreamAccess {
    /// Reads the newest event of a metastream; nothing if it does not speak of access.
    pub(crate) fn parse(is_json: bool, metadata: &[u8]) -> Option<Self> {
        if !is_json {
            return None;
        }
        let metadata: Map<String, Value> = serde_json::from_slice(metadata).ok()?;
        match metadata.get("$acl")? {
            Value::Object(fields) => Some(Self::Own(AccessList::parse(fields))),
            Value::String(name) if name == "$userStreamAcl" => Some(Self::LikeUserStreams),
            Value::String(name) if name == "$systemStreamAcl" => Some(Self::LikeSystemStreams),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }
}

/// The lists for streams that do not say themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    user_streams: AccessList,
    system_streams: AccessList,
}

impl Settings {
    /// Reads the newest event of `$settings`.
    pub(crate) fn parse(data: &[u8]) -> Self {
        let settings: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
        let list = |name| match settings.get(name) {
            Some(Value::Object(fields)) => AccessList::parse(fields),
            Some(_) | None => AccessList::default(),
        };
        Self { user_streams: list("$userStreamAcl"), system_streams: list("$systemStreamAcl") }
    }
}

/// Whether `caller` has this right on `stream`, whose metadata say `access`. Without any list,
/// everybody has every right on an ordinary stream and only administrators have one on a stream of
/// the system.
pub(crate) fn permits(
    (stream, access): (&str, Option<&StreamAccess>),
    settings: &Settings,
    right: Right,
    caller: &Caller,
) -> bool {
    if caller.is_admin() {
        return true;
    }
    let (own, is_system) = match access {
        Some(StreamAccess::Own(list)) => (list.roles(right), is_system(stream)),
        Some(StreamAccess::LikeUserStreams) => (None, false),
        Some(StreamAccess::LikeSystemStreams) => (None, true),
        None => (None, is_system(stream)),
    };
    let default = if is_system { &settings.system_streams } else { &settings.user_streams };
    match own.or_else(|| default.roles(right)) {
        Some(roles) => roles.iter().any(|role| &**role == EVERYBODY || caller.is(role)),
        None => !is_system,
    }
}

fn is_system(stream: &str) -> bool {
    stream.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(login: &str) -> Caller {
        Caller::user(login, ["readers".to_owned()])
    }

    fn access(metadata: &str) -> Option<StreamAccess> {
        StreamAccess::parse(true, metadata.as_bytes())
    }

    fn may(stream: &str, metadata: &str, settings: &str, right: Right, caller: &Caller) -> bool {
        let (access, settings) = (access(metadata), Settings::parse(settings.as_bytes()));
        permits((stream, access.as_ref()), &settings, right, caller)
    }

    const RIGHTS: [Right; 5] =
        [Right::Read, Right::Write, Right::Delete, Right::ReadMetadata, Right::WriteMetadata];

    #[test]
    fn without_a_list_ordinary_streams_are_open_and_system_streams_closed() {
        for right in RIGHTS {
            assert!(may("s", "{}", "", right, &user("ann")));
            assert!(may("s", "{}", "", right, &Caller::Anonymous));
            assert!(!may("$s", "{}", "", right, &user("ann")));
            assert!(may("$s", "{}", "", right, &Caller::user("boss", [ADMINS.to_owned()])));
        }
    }

    #[test]
    fn a_list_names_users_and_groups_as_a_text_or_a_list() {
        for metadata in [r#"{"$acl":{"$r":"ann"}}"#, r#"{"$acl":{"$r":["bob","readers"]}}"#] {
            assert!(may("s", metadata, "", Right::Read, &user("ann")), "{metadata}");
            assert!(!may("s", metadata, "", Right::Read, &Caller::user("eve", [])), "{metadata}");
            assert!(!may("s", metadata, "", Right::Read, &Caller::Anonymous), "{metadata}");
        }
    }

    #[test]
    fn everybody_is_in_the_group_all() {
        assert!(may("$s", r#"{"$acl":{"$r":"$all"}}"#, "", Right::Read, &Caller::Anonymous));
    }

    #[test]
    fn rights_that_a_list_leaves_out_are_decided_by_the_settings_and_then_the_default() {
        let settings = r#"{"$userStreamAcl":{"$w":"ann"},"$systemStreamAcl":{"$r":"ann"}}"#;
        let metadata = r#"{"$acl":{"$d":"$admins"}}"#;
        assert!(may("s", metadata, settings, Right::Write, &user("ann")));
        assert!(!may("s", metadata, settings, Right::Write, &user("bob")));
        assert!(may("s", metadata, settings, Right::Read, &user("bob")));
        assert!(!may("s", metadata, settings, Right::Delete, &user("ann")));
        assert!(may("$s", "{}", settings, Right::Read, &user("ann")));
        assert!(!may("$s", "{}", settings, Right::Write, &user("ann")));
    }

    #[test]
    fn a_stream_can_be_treated_like_the_other_kind() {
        assert!(may("$s", r#"{"$acl":"$userStreamAcl"}"#, "", Right::Read, &user("ann")));
        assert!(!may("s", r#"{"$acl":"$systemStreamAcl"}"#, "", Right::Read, &user("ann")));
    }

    #[test]
    fn nobody_but_administrators_passes_a_list_that_is_empty_or_not_understood() {
        for list in ["[]", "7", "{}", "[7]"] {
            let metadata = format!(r#"{{"$acl":{{"$r":{list}}}}}"#);
            assert!(!may("s", &metadata, "", Right::Read, &user("ann")), "{list}");
            assert!(may("s", &metadata, "", Right::Read, &Caller::user("admin", [])), "{list}");
        }
    }

    #[test]
    fn metadata_that_do_not_speak_of_access_change_nothing() {
        for metadata in ["", "nonsense", "[]", r#"{"$acl":null}"#, r#"{"$acl":7}"#] {
            assert_eq!(access(metadata), None, "{metadata}");
        }
        assert_eq!(StreamAccess::parse(false, br#"{"$acl":{"$r":"ann"}}"#), None);
    }
}

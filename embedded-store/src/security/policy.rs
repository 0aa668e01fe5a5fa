//! What needs which rights. Pure; the rules are those of EventStoreDB's access control lists.

use super::access_list::Right;
use super::action::Action;
use super::caller::Caller;
use crate::semantics::names;

/// What the rules say before any list was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    Allowed,
    Denied,
    /// The list of this stream decides.
    AsListed(&'a str, Right),
}

/// Whether `caller` may do this. `anonymous_streams` is whether lists may let in somebody without
/// credentials at all.
pub(crate) fn judge<'a>(
    action: Action<'a>,
    caller: &Caller,
    anonymous_streams: bool,
) -> Verdict<'a> {
    let is_known = *caller != Caller::Anonymous;
    let may_ask = is_known || anonymous_streams;
    match action {
        Action::Read(stream) => listed(may_ask, stream, Right::Read, Right::ReadMetadata),
        Action::Append(stream) => listed(may_ask, stream, Right::Write, Right::WriteMetadata),
        Action::Delete(stream) => listed(may_ask, stream, Right::Delete, Right::WriteMetadata),
        Action::ReadLog => listed(may_ask, "$all", Right::Read, Right::ReadMetadata),
        Action::Consume(stream) => listed(is_known, stream, Right::Read, Right::ReadMetadata),
        Action::OpenBatch => Verdict::Allowed,
        Action::ListSubscriptions | Action::ReadStatistics | Action::ChangePassword => {
            allowed_if(is_known)
        }
        Action::ManageSubscriptions | Action::Operate => allowed_if(caller.is_operator()),
        Action::ManageUsers => allowed_if(caller.is_admin()),
        Action::ReadUser(login) => allowed_if(caller.is_admin() || caller.is_login(login)),
    }
}

fn allowed_if(allowed: bool) -> Verdict<'static> {
    if allowed { Verdict::Allowed } else { Verdict::Denied }
}

/// A metastream is guarded by the list of the stream it belongs to.
fn listed(may_ask: bool, stream: &str, right: Right, of_metadata: Right) -> Verdict<'_> {
    match names::original_of(stream) {
        _ if !may_ask => Verdict::Denied,
        Some(original) => Verdict::AsListed(original, of_metadata),
        None => Verdict::AsListed(stream, right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::access_list::ADMINS;
    use crate::security::caller::OPERATORS;

    fn ann() -> Caller {
        Caller::user("ann", [])
    }

    fn verdict<'a>(action: Action<'a>, caller: &Caller) -> Verdict<'a> {
        judge(action, caller, false)
    }

    #[test]
    fn lists_decide_about_streams_and_about_the_log() {
        let of = |action| verdict(action, &ann());
        assert_eq!(of(Action::Read("s")), Verdict::AsListed("s", Right::Read));
        assert_eq!(of(Action::Append("s")), Verdict::AsListed("s", Right::Write));
        assert_eq!(of(Action::Delete("s")), Verdict::AsListed("s", Right::Delete));
        assert_eq!(of(Action::Consume("s")), Verdict::AsListed("s", Right::Read));
        assert_eq!(of(Action::ReadLog), Verdict::AsListed("$all", Right::Read));
    }

    #[test]
    fn metadata_are_guarded_by_the_list_of_their_stream() {
        let of = |action| verdict(action, &ann());
        assert_eq!(of(Action::Read("$$s")), Verdict::AsListed("s", Right::ReadMetadata));
        assert_eq!(of(Action::Append("$$s")), Verdict::AsListed("s", Right::WriteMetadata));
        assert_eq!(of(Action::Append("$$$all")), Verdict::AsListed("$all", Right::WriteMetadata));
    }

    #[test]
    fn without_credentials_nothing_is_allowed_unless_lists_may_allow_it() {
        let anonymous = Caller::Anonymous;
        let everything = [
            Action::Read("s"),
            Action::Append("s"),
            Action::ReadLog,
            Action::Consume("s"),
            Action::ListSubscriptions,
            Action::ManageSubscriptions,
            Action::Operate,
            Action::ReadStatistics,
            Action::ManageUsers,
            Action::ReadUser("ann"),
            Action::ChangePassword,
        ];
        for action in everything {
            assert_eq!(verdict(action, &anonymous), Verdict::Denied, "{action:?}");
        }
        let asked = judge(Action::Read("s"), &anonymous, true);
        assert_eq!(asked, Verdict::AsListed("s", Right::Read));
        assert_eq!(judge(Action::Consume("s"), &anonymous, true), Verdict::Denied);
    }

    #[test]
    fn operators_manage_subscriptions_and_the_server_and_only_admins_users() {
        let operator = Caller::user("olaf", [OPERATORS.to_owned()]);
        let admin = Caller::user("eva", [ADMINS.to_owned()]);
        for action in [Action::ManageSubscriptions, Action::Operate] {
            assert_eq!(verdict(action, &ann()), Verdict::Denied);
            assert_eq!(verdict(action, &operator), Verdict::Allowed);
            assert_eq!(verdict(action, &admin), Verdict::Allowed);
        }
        assert_eq!(verdict(Action::ManageUsers, &operator), Verdict::Denied);
        assert_eq!(verdict(Action::ManageUsers, &admin), Verdict::Allowed);
    }

    #[test]
    fn a_user_sees_itself_and_changes_a_password_it_knows() {
        assert_eq!(verdict(Action::ReadUser("ann"), &ann()), Verdict::Allowed);
        assert_eq!(verdict(Action::ReadUser("bob"), &ann()), Verdict::Denied);
        assert_eq!(verdict(Action::ChangePassword, &ann()), Verdict::Allowed);
        let in_group_bob = Caller::user("ann", ["bob".to_owned()]);
        assert_eq!(verdict(Action::ReadUser("bob"), &in_group_bob), Verdict::Denied);
    }
}

//! Recognises callers and lets them through or not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::access_list::{Settings, StreamAccess, permits};
use super::action::Action;
use super::caller::{Caller, Credentials};
use super::memory::{Access, Memory, SETTINGS};
use super::passwords::{HashingFailed, Passwords, Prints};
use super::policy::{Verdict, judge};
use super::users::{Users, newest};
use crate::semantics::names;
use crate::storage::{ReadError, Storage};

/// Bytes of the longest login that is remembered with a wrong password.
const LONGEST_REFUSED: usize = 256;

/// Why a caller is not let through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denial {
    /// Whoever it is, it is not who it says.
    #[error("the credentials are not valid")]
    Unauthenticated,
    #[error("access is denied")]
    Forbidden,
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Read(#[from] ReadError),
}

#[derive(Debug)]
pub(crate) struct Guard {
    storage: Storage,
    users: Arc<Users>,
    passwords: Arc<Passwords>,
    prints: Prints,
    /// Whether callers without credentials may be let in by access lists.
    anonymous_streams: bool,
    memory: Mutex<Memory>,
    /// How often rights have changed, for those who wait for that.
    changes: watch::Sender<u64>,
}

impl Guard {
    pub(crate) fn new(
        storage: Storage,
        users: Arc<Users>,
        (passwords, prints): (Arc<Passwords>, Prints),
        anonymous_streams: bool,
    ) -> Self {
        let memory = Mutex::new(Memory::new(storage.clone()));
        let (changes, _) = watch::channel(0);
        Self { storage, users, passwords, prints, anonymous_streams, memory, changes }
    }

    /// How often rights have changed, up to the newest event.
    pub(super) fn era(&self) -> u64 {
        self.memory().caught_up().era
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn announce(&self) {
        let era = self.era();
        self.changes.send_if_modified(|known| std::mem::replace(known, era) != era);
    }

    /// Whether whoever sent this `authorization` header may do this.
    pub(crate) async fn allow(
        &self,
        authorization: Option<&[u8]>,
        action: Action<'_>,
    ) -> Result<(), Denial> {
        let caller = match authorization {
            Some(header) => self.recognise(header).await?,
            None => Arc::new(Caller::Anonymous),
        };
        let allowed = match judge(action, &caller, self.anonymous_streams) {
            Verdict::Allowed => true,
            Verdict::Denied => false,
            Verdict::AsListed(..) if caller.is_admin() => true,
            Verdict::AsListed(stream, right) => {
                let (access, settings) = self.lists(stream).await?;
                permits((stream, access.as_deref()), &settings, right, &caller)
            }
        };
        if allowed { Ok(()) } else { Err(Denial::Forbidden) }
    }

    async fn recognise(&self, header: &[u8]) -> Result<Arc<Caller>, Denial> {
        let credentials = Credentials::parse(header).ok_or(Denial::Unauthenticated)?;
        if let Some(outcome) = self.remembered(&credentials) {
            return outcome;
        }
        let turn = self.passwords.turn().await?;
        // Many calls may have waited for the first of them to be recognised.
        if let Some(outcome) = self.remembered(&credentials) {
            return outcome;
        }
        let era = self.memory().caught_up().era;
        let Credentials { login, password } = credentials;
        let stored = self.users.find(&login).await?;
        let user = stored.map(|stored| stored.user).filter(|user| !user.disabled);
        let verified = turn.verify(&password, user.as_ref().map(|user| &*user.hash)).await?;
        let Some(user) = user.filter(|_| verified) else {
            tracing::warn!(login, "a caller gave a wrong login or password, or is disabled");
            if login.len() <= LONGEST_REFUSED {
                let print = self.prints.of(&password);
                self.memory().remember(era, |memory| {
                    memory.refused.put(login.into(), print);
                });
            }
            return Err(Denial::Unauthenticated);
        };
        let caller = Arc::new(Caller::user(&login, user.groups));
        let known = (self.prints.of(&password), Arc::clone(&caller));
        self.memory().remember(era, |memory| {
            memory.users.put(login.into(), known);
        });
        Ok(caller)
    }

    /// What came of these credentials, if they were looked at lately.
    fn remembered(&self, credentials: &Credentials) -> Option<Result<Arc<Caller>, Denial>> {
        let Credentials { login, password } = credentials;
        let (known, refused) = {
            let mut memory = self.memory();
            let memory = memory.caught_up();
            (memory.users.get(&**login).cloned(), memory.refused.get(&**login).cloned())
        };
        match known {
            Some((print, caller)) if self.prints.matches(password, &print) => Some(Ok(caller)),
            Some(_) | None => {
                let is_refused = self.prints.matches(password, &refused?);
                is_refused.then_some(Err(Denial::Unauthenticated))
            }
        }
    }

    async fn lists(&self, stream: &str) -> Result<(Access, Arc<Settings>), ReadError> {
        let (era, access, settings) = {
            let mut memory = self.memory();
            let memory = memory.caught_up();
            (memory.era, memory.lists.get(stream).cloned(), memory.settings.clone())
        };
        if let (Some(access), Some(settings)) = (&access, &settings) {
            return Ok((access.clone(), Arc::clone(settings)));
        }
        let access = match access {
            Some(access) => access,
            None => self.read_access(stream).await?,
        };
        let settings = match settings {
            Some(settings) => settings,
            None => self.read_settings().await?,
        };
        self.memory().remember(era, |memory| {
            memory.lists.put(stream.into(), access.clone());
            memory.settings = Some(Arc::clone(&settings));
        });
        Ok((access, settings))
    }

    async fn read_access(&self, stream: &str) -> Result<Access, ReadError> {
        let metadata = newest(&self.storage, &names::metastream_of(stream)).await?;
        let access = metadata.and_then(|event| StreamAccess::parse(event.is_json, &event.data));
        Ok(access.map(Arc::new))
    }

    async fn read_settings(&self) -> Result<Arc<Settings>, ReadError> {
        let event = newest(&self.storage, SETTINGS).await?;
        Ok(Arc::new(event.map_or_else(Settings::default, |event| Settings::parse(&event.data))))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::event::Proposed;
    use crate::security::memory::PAGE;
    use crate::security::users::NewUser;
    use crate::semantics::append::Expected;
    use crate::storage::{Change, Write};

    struct Fixture {
        guard: Guard,
        storage: Storage,
        users: Arc<Users>,
    }

    async fn fixture() -> Fixture {
        let storage = Storage::open(None, false).unwrap();
        let passwords = Arc::new(Passwords::new());
        let users = Arc::new(Users::new(storage.clone(), Arc::clone(&passwords)));
        let new = NewUser {
            login_name: "ann".to_owned(),
            full_name: String::new(),
            groups: vec![],
            password: "one".into(),
        };
        users.create(new).await.unwrap();
        let guard = Guard::new(
            storage.clone(),
            Arc::clone(&users),
            (passwords, Prints::new().unwrap()),
            false,
        );
        Fixture { guard, storage, users }
    }

    impl Fixture {
        async fn may(&self, credentials: &str, action: Action<'_>) -> Result<(), Denial> {
            let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
            self.guard.allow(Some(format!("Basic {encoded}").as_bytes()), action).await
        }

        async fn append(&self, stream: &str, data: &'static str) {
            let id = u128::from(*self.storage.committed().borrow());
            let event = Proposed {
                id: uuid::Uuid::from_u128(id),
                kind: "k".into(),
                is_json: true,
                metadata: bytes::Bytes::new(),
                data: data.into(),
            };
            let change = Change::Append(vec![event]);
            let write = Write { stream: stream.into(), expected: Expected::Any, change };
            self.storage.write(write).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_access_list_holds_as_soon_as_it_is_written() {
        let fixture = fixture().await;
        for _ in 0..2 {
            fixture.may("ann:one", Action::Read("s")).await.unwrap();
            fixture.append("$$s", r#"{"$acl":{"$r":"bob"}}"#).await;
            let denied = fixture.may("ann:one", Action::Read("s")).await;
            assert!(matches!(denied, Err(Denial::Forbidden)));
            fixture.append("$$s", r#"{"$acl":{"$r":"ann"}}"#).await;
        }
    }

    #[tokio::test]
    async fn the_default_lists_hold_as_soon_as_they_are_written() {
        let fixture = fixture().await;
        fixture.may("ann:one", Action::Append("s")).await.unwrap();
        fixture.append("$settings", r#"{"$userStreamAcl":{"$w":"bob"}}"#).await;
        let denied = fixture.may("ann:one", Action::Append("s")).await;
        assert!(matches!(denied, Err(Denial::Forbidden)));
    }

    #[tokio::test]
    async fn what_is_remembered_survives_neither_many_nor_forgotten_events() {
        let fixture = fixture().await;
        fixture.may("ann:one", Action::Read("s")).await.unwrap();
        fixture.append("$$s", r#"{"$acl":{"$r":"bob"}}"#).await;
        // More than one page, so that the change is found behind others.
        for _ in 0..PAGE {
            fixture.append("t", "{}").await;
        }
        assert!(fixture.may("ann:one", Action::Read("s")).await.is_err());
        fixture.append("$$s", r#"{"$acl":{"$r":"ann"}}"#).await;
        fixture.may("ann:one", Action::Read("s")).await.unwrap();
        fixture.append("$$s", r#"{"$acl":{"$r":"bob"}}"#).await;
        // Deleting clears what is in memory of the log.
        let write = Write { stream: "t".into(), expected: Expected::Any, change: Change::Delete };
        fixture.storage.write(write).await.unwrap();
        assert!(fixture.may("ann:one", Action::Read("s")).await.is_err());
    }

    #[tokio::test]
    async fn a_changed_password_a_disabled_and_a_deleted_user_are_noticed_at_once() {
        let fixture = fixture().await;
        let unknown = |outcome| matches!(outcome, Err(Denial::Unauthenticated));
        let read = Action::Read("s");
        fixture.may("ann:one", read).await.unwrap();
        fixture.users.reset_password("ann", &"two".into()).await.unwrap();
        assert!(unknown(fixture.may("ann:one", read).await));
        fixture.may("ann:two", read).await.unwrap();
        fixture.users.disable("ann").await.unwrap();
        assert!(unknown(fixture.may("ann:two", read).await));
        fixture.users.enable("ann").await.unwrap();
        fixture.may("ann:two", read).await.unwrap();
        fixture.users.delete("ann").await.unwrap();
        assert!(unknown(fixture.may("ann:two", read).await));
    }

    #[tokio::test]
    async fn what_was_wrong_is_right_as_soon_as_it_is() {
        let fixture = fixture().await;
        for _ in 0..2 {
            assert!(fixture.may("ann:two", Action::Read("s")).await.is_err());
            assert!(fixture.may("bob:one", Action::Read("s")).await.is_err());
        }
        fixture.may("ann:one", Action::Read("s")).await.unwrap();
        fixture.users.reset_password("ann", &"two".into()).await.unwrap();
        fixture.may("ann:two", Action::Read("s")).await.unwrap();
        assert!(fixture.may("ann:one", Action::Read("s")).await.is_err());
        let bob = NewUser {
            login_name: "bob".to_owned(),
            full_name: String::new(),
            groups: vec![],
            password: "one".into(),
        };
        fixture.users.create(bob).await.unwrap();
        fixture.may("bob:one", Action::Read("s")).await.unwrap();
    }

    #[tokio::test]
    async fn groups_count_from_the_next_call_on() {
        let fixture = fixture().await;
        assert!(fixture.may("ann:one", Action::ReadLog).await.is_err());
        let groups = vec!["$admins".to_owned()];
        fixture.users.update("ann", String::new(), groups).await.unwrap();
        fixture.may("ann:one", Action::ReadLog).await.unwrap();
    }

    #[tokio::test]
    async fn wrong_credentials_are_refused_even_where_everybody_may_go() {
        let fixture = fixture().await;
        for credentials in ["ann:two", "bob:one", "ann", ":"] {
            let refused = fixture.may(credentials, Action::OpenBatch).await;
            assert!(matches!(refused, Err(Denial::Unauthenticated)), "{credentials}");
        }
        let bearer = fixture.guard.allow(Some(b"Bearer x"), Action::OpenBatch).await;
        assert!(matches!(bearer, Err(Denial::Unauthenticated)));
        fixture.guard.allow(None, Action::OpenBatch).await.unwrap();
    }
}

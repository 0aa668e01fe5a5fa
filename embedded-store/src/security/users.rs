//! Users, kept in the log as EventStoreDB keeps them: one stream for each, of which the newest event
//! says all, and one stream that lists their names. Only administrators may read these, like any
//! stream of the system, and only they may change them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::access_list::ADMINS;
use super::passwords::{HashingFailed, Passwords};
use crate::event::{METADATA_KIND, Proposed, Recorded};
use crate::semantics::append::Expected;
use crate::semantics::names;
use crate::storage::{
    Change, Direction, From, ReadError, Storage, StreamPage, StreamQuery, Write, WriteError,
    Written, ticks_now,
};

/// What the stream of a user is called before the login.
const PREFIX: &str = "$user-";

/// The stream that lists the logins.
const LIST: &str = "$users";

const LISTED: &str = "$User";
const CREATED: &str = "$UserCreated";
const UPDATED: &str = "$UserUpdated";

/// The login whose stream, or whose stream's metadata, this is.
pub(crate) fn login_of(stream: &str) -> Option<&str> {
    names::original_of(stream).unwrap_or(stream).strip_prefix(PREFIX)
}

/// A user as it is stored.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct User {
    pub(crate) login_name: String,
    pub(crate) full_name: String,
    /// Says itself how it was computed and with which salt.
    pub(crate) hash: String,
    pub(crate) disabled: bool,
    pub(crate) groups: Vec<String>,
}

impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { login_name, full_name, hash: _, disabled, groups } = self;
        formatter
            .debug_struct("User")
            .field("login_name", login_name)
            .field("full_name", full_name)
            .field("disabled", disabled)
            .field("groups", groups)
            .finish_non_exhaustive()
    }
}

/// A user and where it was read.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) user: User,
    pub(crate) revision: u64,
    /// Ticks of 100 ns since 1970.
    pub(crate) updated: u64,
}

/// A user to be.
#[derive(Debug)]
pub(crate) struct NewUser {
    pub(crate) login_name: String,
    pub(crate) full_name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) password: SecretString,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    #[error("a login is not empty and has no colon")]
    BadLogin,
    #[error("there is no such user")]
    NotFound,
    #[error("there is another user of this name, or somebody else changed it at the same time")]
    Conflict,
    #[error("the current password is another one")]
    WrongPassword,
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The users of a store.
#[derive(Debug)]
pub(crate) struct Users {
    storage: Storage,
    passwords: Arc<Passwords>,
    /// One change at a time, from looking to writing.
    changing: Mutex<()>,
}

impl Users {
    pub(crate) fn new(storage: Storage, passwords: Arc<Passwords>) -> Self {
        Self { storage, passwords, changing: Mutex::new(()) }
    }

    pub(crate) async fn find(&self, login: &str) -> Result<Option<Stored>, ReadError> {
        let Some(event) = newest(&self.storage, &stream_of(login)).await? else { return Ok(None) };
        // What is not understood is nobody: it must not let anybody in.
        let user: User = serde_json::from_slice(&event.data).unwrap_or_default();
        let stored = Stored { user, revision: event.revision, updated: event.created };
        Ok((stored.user.login_name == login).then_some(stored))
    }

    async fn existing(&self, login: &str) -> Result<Stored, UsersError> {
        self.find(login).await?.ok_or(UsersError::NotFound)
    }

    /// All users, by login.
    pub(crate) async fn list(&self) -> Result<Vec<Stored>, ReadError> {
        let mut users = BTreeMap::new();
        let mut from = Some(From::Start);
        while let Some(begin) = from {
            let page = read(&self.storage, LIST, begin, Direction::Forwards, u64::MAX).await?;
            let StreamPage::Events(page) = page else { break };
            for event in page.events.iter().filter(|event| &*event.kind == LISTED) {
                let Ok(login) = std::str::from_utf8(&event.data) else { continue };
                if let Some(stored) = self.find(login).await? {
                    users.insert(login.to_owned(), stored);
                }
            }
            from = page.next.map(From::Revision);
        }
        Ok(users.into_values().collect())
    }

    /// Creates a user. Repeated with the same password, it changes nothing and is no error.
    pub(crate) async fn create(&self, new: NewUser) -> Result<(), UsersError> {
        let login = new.login_name;
        if login.is_empty() || login.contains(':') {
            return Err(UsersError::BadLogin);
        }
        let hash = self.passwords.turn().await?.hash(&new.password).await?;
        let _changing = self.changing.lock().await;
        if let Some(stored) = self.find(&login).await? {
            let turn = self.passwords.turn().await?;
            let same = turn.verify(&new.password, Some(&stored.user.hash)).await?;
            return if same { Ok(()) } else { Err(UsersError::Conflict) };
        }
        let user = User {
            login_name: login,
            full_name: new.full_name,
            hash,
            disabled: false,
            groups: new.groups,
        };
        let stream = stream_of(&user.login_name);
        // The user comes last: what was written of one that was not finished, no one sees.
        let guarded = serde_json::json!({ "$acl": { "$w": ADMINS, "$d": ADMINS, "$mw": ADMINS } });
        let metastream = names::metastream_of(&stream);
        self.append(&metastream, Expected::Any, event(METADATA_KIND, true, guarded.to_string()))
            .await?;
        let listed = event(LISTED, false, user.login_name.clone());
        self.append(LIST, Expected::Any, listed).await?;
        self.append(&stream, Expected::Any, event(CREATED, true, json(&user))).await
    }

    /// Changes name and groups.
    pub(crate) async fn update(
        &self,
        login: &str,
        full_name: String,
        groups: Vec<String>,
    ) -> Result<(), UsersError> {
        self.change(login, |user| User { full_name, groups, ..user }).await
    }

    pub(crate) async fn disable(&self, login: &str) -> Result<(), UsersError> {
        self.change(login, |user| User { disabled: true, ..user }).await
    }

    pub(crate) async fn enable(&self, login: &str) -> Result<(), UsersError> {
        self.change(login, |user| User { disabled: false, ..user }).await
    }

    pub(crate) async fn reset_password(
        &self,
        login: &str,
        password: &SecretString,
    ) -> Result<(), UsersError> {
        self.existing(login).await?;
        let hash = self.passwords.turn().await?.hash(password).await?;
        self.change(login, |user| User { hash, ..user }).await
    }

    pub(crate) async fn change_password(
        &self,
        login: &str,
        current: &SecretString,
        password: &SecretString,
    ) -> Result<(), UsersError> {
        let before = self.existing(login).await?.user.hash;
        if !self.passwords.turn().await?.verify(current, Some(&before)).await? {
            return Err(UsersError::WrongPassword);
        }
        let hash = self.passwords.turn().await?.hash(password).await?;
        let _changing = self.changing.lock().await;
        let Stored { user, revision, .. } = self.existing(login).await?;
        if user.hash != before {
            return Err(UsersError::Conflict);
        }
        self.write(revision, &User { hash, ..user }).await
    }

    pub(crate) async fn delete(&self, login: &str) -> Result<(), UsersError> {
        let _changing = self.changing.lock().await;
        let stored = self.existing(login).await?;
        let write = Write {
            stream: stream_of(login).into(),
            expected: Expected::Revision(stored.revision),
            change: Change::Delete,
        };
        accepted(self.storage.write(write).await?)
    }

    async fn change(
        &self,
        login: &str,
        change: impl FnOnce(User) -> User,
    ) -> Result<(), UsersError> {
        let _changing = self.changing.lock().await;
        let Stored { user, revision, .. } = self.existing(login).await?;
        self.write(revision, &change(user)).await
    }

    async fn write(&self, revision: u64, user: &User) -> Result<(), UsersError> {
        let stream = stream_of(&user.login_name);
        self.append(&stream, Expected::Revision(revision), event(UPDATED, true, json(user))).await
    }

    async fn append(
        &self,
        stream: &str,
        expected: Expected,
        event: Proposed,
    ) -> Result<(), UsersError> {
        let change = Change::Append(vec![event]);
        accepted(self.storage.write(Write { stream: stream.into(), expected, change }).await?)
    }
}

fn accepted(written: Written) -> Result<(), UsersError> {
    match written {
        Written::Done { .. } => Ok(()),
        Written::WrongExpected { .. } | Written::Deleted => Err(UsersError::Conflict),
    }
}

fn stream_of(login: &str) -> String {
    format!("{PREFIX}{login}")
}

fn json(user: &User) -> String {
    serde_json::json!(user).to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "no client chose an id: the event is the server's own"
)]
fn event(kind: &str, is_json: bool, data: String) -> Proposed {
    Proposed {
        id: Uuid::new_v4(),
        kind: kind.into(),
        is_json,
        metadata: Bytes::new(),
        data: data.into(),
    }
}

/// The newest event of a stream, if there is one to be seen.
pub(crate) async fn newest(
    storage: &Storage,
    stream: &str,
) -> Result<Option<Arc<Recorded>>, ReadError> {
    let page = read(storage, stream, From::End, Direction::Backwards, 1).await?;
    let StreamPage::Events(mut page) = page else { return Ok(None) };
    Ok(page.events.pop())
}

async fn read(
    storage: &Storage,
    stream: &str,
    from: From,
    direction: Direction,
    limit: u64,
) -> Result<StreamPage, ReadError> {
    let query = StreamQuery { stream: stream.into(), from, direction, limit, now: ticks_now() };
    storage.read_stream(query).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let storage = Storage::open(None, false).unwrap();
        Users::new(storage, Arc::new(Passwords::new()))
    }

    fn ann(password: &str) -> NewUser {
        NewUser {
            login_name: "ann".to_owned(),
            full_name: "Ann Other".to_owned(),
            groups: vec!["readers".to_owned()],
            password: password.into(),
        }
    }

    #[tokio::test]
    async fn a_user_is_created_once_and_again_only_with_the_same_password() {
        let users = users();
        users.create(ann("one")).await.unwrap();
        users.create(ann("one")).await.unwrap();
        assert!(matches!(users.create(ann("two")).await, Err(UsersError::Conflict)));
        assert_eq!(users.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_deleted_user_is_gone_and_its_name_free() {
        let users = users();
        users.create(ann("one")).await.unwrap();
        users.delete("ann").await.unwrap();
        assert!(users.find("ann").await.unwrap().is_none());
        assert!(users.list().await.unwrap().is_empty());
        users.create(ann("two")).await.unwrap();
        assert_eq!(users.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_password_is_changed_by_whoever_knows_it() {
        let users = users();
        users.create(ann("one")).await.unwrap();
        let wrong = users.change_password("ann", &"two".into(), &"three".into()).await;
        assert!(matches!(wrong, Err(UsersError::WrongPassword)));
        users.change_password("ann", &"one".into(), &"two".into()).await.unwrap();
        users.change_password("ann", &"two".into(), &"three".into()).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_can_be_changed_who_is_not_there() {
        let users = users();
        assert!(matches!(users.delete("ann").await, Err(UsersError::NotFound)));
        assert!(matches!(users.enable("ann").await, Err(UsersError::NotFound)));
        let reset = users.reset_password("ann", &"one".into()).await;
        assert!(matches!(reset, Err(UsersError::NotFound)));
    }

    #[tokio::test]
    async fn neither_a_hash_nor_a_password_is_printed() {
        let users = users();
        assert!(!format!("{:?}", ann("tell-nobody")).contains("tell-nobody"));
        users.create(ann("tell-nobody")).await.unwrap();
        let stored = users.find("ann").await.unwrap().unwrap();
        assert!(!format!("{stored:?}").contains("argon2"));
    }

    #[tokio::test]
    async fn a_login_without_a_name_or_with_a_colon_cannot_be_used() {
        for login in ["", "a:b"] {
            let (users, new) = (users(), NewUser { login_name: login.to_owned(), ..ann("one") });
            let refused = users.create(new);
            assert!(matches!(refused.await, Err(UsersError::BadLogin)));
        }
    }

    #[test]
    fn the_stream_of_a_user_and_its_metadata_tell_the_login() {
        assert_eq!(login_of("$user-ann"), Some("ann"));
        assert_eq!(login_of("$$$user-ann"), Some("ann"));
        assert_eq!(login_of("$users"), None);
    }
}

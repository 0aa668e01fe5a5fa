//! What a server needs of all this, from its options.

use std::sync::Arc;

use super::access_list::ADMINS;
use super::action::Action;
use super::caller::{ADMIN, OPERATORS, OPS};
use super::granted::{self, Granted};
use super::guard::{Denial, Guard};
use super::passwords::{Passwords, Prints};
use super::users::{NewUser, Users, UsersError};
use crate::error::Error;
use crate::options::Authentication;
use crate::storage::Storage;

/// The users, and whether anybody asks who is one.
#[derive(Debug)]
pub(crate) struct Security {
    pub(crate) users: Arc<Users>,
    /// `None`: everybody may do everything.
    guard: Option<Arc<Guard>>,
}

impl Security {
    /// Creates the first users if they are missing and wanted.
    pub(crate) async fn open(
        storage: Storage,
        authentication: Option<&Authentication>,
    ) -> Result<Self, Error> {
        let passwords = Arc::new(Passwords::new());
        let users = Arc::new(Users::new(storage.clone(), Arc::clone(&passwords)));
        let Some(authentication) = authentication else { return Ok(Self { users, guard: None }) };
        create_first(&users, authentication)
            .await
            .map_err(|error| Error::Users(error.into()))?
            .then_some(())
            .ok_or(Error::NoAdmin)?;
        let anonymous_streams = authentication.anonymous_streams;
        let prints = Prints::new().map_err(|error| Error::Users(error.into()))?;
        let committed = storage.committed();
        let guard = Guard::new(storage, Arc::clone(&users), (passwords, prints), anonymous_streams);
        let guard = Arc::new(guard);
        tokio::spawn(granted::announce(Arc::downgrade(&guard), committed));
        Ok(Self { users, guard: Some(guard) })
    }

    /// For a call that goes on after it was let in: taken before that.
    pub(crate) fn granted(&self) -> Granted {
        Granted::now(self.guard.as_ref())
    }

    /// Whether whoever sent this `authorization` header may do this.
    pub(crate) async fn allow(
        &self,
        authorization: Option<&[u8]>,
        action: Action<'_>,
    ) -> Result<(), Denial> {
        match &self.guard {
            Some(guard) => guard.allow(authorization, action).await,
            None => Ok(()),
        }
    }
}

/// Whether there is an administrator now.
async fn create_first(users: &Users, authentication: &Authentication) -> Result<bool, UsersError> {
    let Authentication { admin_password, ops_password, anonymous_streams: _ } = authentication;
    let first = [
        (ADMIN, "Event Store Administrator", ADMINS, admin_password),
        (OPS, "Event Store Operations", OPERATORS, ops_password),
    ];
    for (login, full_name, group, password) in first {
        let Some(password) = password else { continue };
        if users.find(login).await?.is_some() {
            continue;
        }
        let new = NewUser {
            login_name: login.to_owned(),
            full_name: full_name.to_owned(),
            groups: vec![group.to_owned()],
            password: password.clone(),
        };
        users.create(new).await?;
        tracing::info!(login, "a user was created with the password of the options");
    }
    Ok(users.find(ADMIN).await?.is_some())
}

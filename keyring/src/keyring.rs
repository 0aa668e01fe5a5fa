//! The keyring: seals, opens and erases. The keys it uses stand in the event store.

use std::fmt;
use std::sync::Arc;

use domain::data_key::{
    DataKey as KeyOfPerson, DataKeyCommand, DataKeyCreated, DataKeyRejection, DataKeyState,
};
use domain::erasure::{Erasure, ErasureCommand, ErasureRejection};
use domain::ids::SubjectId;
use domain::personal::Sealed;
use journal::{Context, ExecuteError, Executed, Journal, Repository, ids};
use schemas::stream_of;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::Error;
use crate::cipher::DataKey;
use crate::master::{self, MasterKeys, Stuck, Wrapped};
use crate::memory::{Look, Memory};
use crate::place::{Place, authenticated};

/// So many times an erasure may come in between.
const ATTEMPTS: usize = 4;
/// States of key streams are not kept: a stream that was deleted would be taken for what it was.
const NOTHING_CACHED: usize = 0;
/// In whose name keys are created.
const ACTOR: &str = "process:keyring";

/// Seals, opens and erases personal data. Clones share keys and memory.
#[derive(Clone)]
pub struct Keyring {
    shared: Arc<Shared>,
}

struct Shared {
    masters: MasterKeys,
    keys: Repository<KeyOfPerson>,
    erasures: Repository<Erasure>,
    memory: Memory,
}

/// What was sealed.
#[derive(Clone, PartialEq, Eq)]
pub enum Opened<T> {
    /// In clear.
    Clear(T),
    /// The person was erased: nobody can open it any more.
    Erased,
}

/// What came of erasing a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// The key is destroyed.
    Now,
    /// It was before, and nothing was sealed for the person since.
    Before,
    /// Nothing was ever sealed for the person.
    Nothing,
}

impl Keyring {
    /// A keyring whose keys stand in `journal`, wrapped under `masters`.
    pub fn new(journal: Journal, masters: MasterKeys) -> Self {
        let shared = Shared {
            masters,
            keys: Repository::new(journal.clone(), NOTHING_CACHED),
            erasures: Repository::new(journal, NOTHING_CACHED),
            memory: Memory::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Seals `value` for one place, under the key of `subject`, who gets one if need be.
    ///
    /// The same value for the same place gives the same result as long as the person keeps the key.
    ///
    /// # Errors
    /// [`Error::Store`] when the event store cannot be reached; see [`Error`] for others.
    pub async fn seal<T: Serialize>(
        &self,
        subject: SubjectId,
        place: &Place<'_>,
        value: &T,
    ) -> Result<Sealed, Error> {
        let shape = |_quotes_it| Error::Shape { subject, field: place.field.to_owned() };
        let clear = Zeroizing::new(serde_json::to_vec(value).map_err(shape)?);
        let key = self.key_for(subject).await?;
        Ok(Sealed {
            subject,
            key: key.id(),
            sealed_in: place.event_type.to_owned(),
            ciphertext: key.seal(&place.authenticated(), clear),
        })
    }

    /// Opens what was sealed for `place`. Use [`Place::of`] where the type of the event is not known.
    ///
    /// Many may be opened at once: each person's key is read once.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when it was sealed for another place, or changed. [`Error::Store`] when
    /// the event store cannot be reached; see [`Error`] for others.
    pub async fn open<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        sealed: &Sealed,
    ) -> Result<Opened<T>, Error> {
        let subject = sealed.subject;
        let not_authentic = || Error::NotAuthentic {
            subject,
            stream: place.stream.to_string(),
            field: place.field.to_owned(),
        };
        if place.event_type != sealed.sealed_in {
            return Err(not_authentic());
        }
        let Some(key) = self.key_of(sealed).await? else { return Ok(Opened::Erased) };
        let clear = key.open(&place.authenticated(), &sealed.ciphertext);
        let clear = clear.map_err(|_| not_authentic())?;
        // The parser's words would quote what it found.
        let shape = |_quotes_it| Error::Shape { subject, field: place.field.to_owned() };
        serde_json::from_slice(&clear).map(Opened::Clear).map_err(shape)
    }

    /// Destroys the key of `subject`: what was sealed for them so far cannot be opened any more. What
    /// is sealed for them from now on gets a new key.
    ///
    /// First the erasure is noted, in a stream of its own; then the key counts no longer; then it is
    /// removed. When it is interrupted, repeat it. Repeated with the same `context.command_id` it does
    /// not touch the key of a person who came back meanwhile.
    ///
    /// # Errors
    /// [`Error::Store`] when the event store cannot be reached; the erasure may be in effect.
    pub async fn erase(&self, subject: SubjectId, context: Context) -> Result<Erased, Error> {
        let Some(loaded) = self.shared.keys.load(&subject).await? else {
            return self.was_erased(subject).await;
        };
        let key_id = match loaded.state.as_ref() {
            DataKeyState::Missing => return self.was_erased(subject).await,
            DataKeyState::Kept(kept) => kept.key_id,
            DataKeyState::Destroyed(destroyed) => {
                self.remove(subject, destroyed.key_id, loaded.revision).await?;
                return Ok(Erased::Now);
            }
        };
        if !self.note_erasure(subject, key_id, &context).await? {
            return Ok(Erased::Before);
        }
        let destroyed = self.destroy(subject, key_id, &context).await?;
        match destroyed.state.as_ref() {
            DataKeyState::Destroyed(_) => {
                self.remove(subject, key_id, destroyed.revision).await?;
            }
            // Somebody else destroyed this key, and removed it.
            DataKeyState::Missing | DataKeyState::Kept(_) => self.forget(subject, key_id),
        }
        tracing::info!(%subject, key = %key_id, actor = context.actor, "erased a person");
        Ok(Erased::Now)
    }

    async fn was_erased(&self, subject: SubjectId) -> Result<Erased, Error> {
        let erasures = self.shared.erasures.load(&subject).await?;
        Ok(if erasures.is_some() { Erased::Before } else { Erased::Nothing })
    }

    /// False if the same request was carried out before the person got this key.
    async fn note_erasure(
        &self,
        subject: SubjectId,
        key_id: Uuid,
        context: &Context,
    ) -> Result<bool, Error> {
        let command = ErasureCommand::Record { key_id, request: context.command_id };
        match self.shared.erasures.execute(&subject, command, context.clone()).await {
            Ok(_) => Ok(true),
            Err(ExecuteError::Rejected(ErasureRejection::CarriedOutBefore)) => Ok(false),
            Err(ExecuteError::Store(error)) => Err(error.into()),
            Err(ExecuteError::Contended) => Err(Error::Contended { subject }),
        }
    }

    async fn destroy(
        &self,
        subject: SubjectId,
        key_id: Uuid,
        context: &Context,
    ) -> Result<Executed<KeyOfPerson>, Error> {
        let command = DataKeyCommand::Destroy { key_id };
        match self.shared.keys.execute(&subject, command, context.clone()).await {
            Ok(executed) => Ok(executed),
            Err(ExecuteError::Store(error)) => Err(error.into()),
            // Nothing forbids a key to be destroyed.
            Err(
                ExecuteError::Rejected(DataKeyRejection::OldKeyStillThere)
                | ExecuteError::Contended,
            ) => Err(Error::Contended { subject }),
        }
    }

    /// Deletes the stream of a key that was destroyed with event number `revision`.
    async fn remove(&self, subject: SubjectId, key_id: Uuid, revision: u64) -> Result<(), Error> {
        self.forget(subject, key_id);
        let stream = stream_of::<KeyOfPerson>(&subject);
        match self.shared.keys.journal().delete_stream(&stream, revision).await {
            // The person has come back, so somebody else has removed the old key.
            Ok(()) | Err(journal::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn forget(&self, subject: SubjectId, key_id: Uuid) {
        self.shared.memory.note_gone(key_id);
        self.shared.memory.forget(subject);
    }

    /// The key that `sealed` was sealed with; `None` when it is gone.
    async fn key_of(&self, sealed: &Sealed) -> Result<Option<Arc<DataKey>>, Error> {
        let Sealed { subject, key, .. } = *sealed;
        let memory = &self.shared.memory;
        if memory.is_gone(key) {
            return Ok(None);
        }
        let called = memory.moment();
        let matching = |found: Option<Arc<DataKey>>| found.filter(|found| found.id() == key);
        let look = memory.look(subject, self.now(), None);
        if let Some(found) = matching(self.find(subject, &look).await?) {
            return Ok(Some(found));
        }
        // What was found may be older than what was sealed. A look that begins now is not.
        let look = memory.look(subject, self.now(), Some(called));
        let found = matching(self.find(subject, &look).await?);
        if found.is_none() {
            memory.note_gone(key);
        }
        Ok(found)
    }

    /// The key to seal with; a new one if the person has none.
    async fn key_for(&self, subject: SubjectId) -> Result<Arc<DataKey>, Error> {
        let look = self.shared.memory.look(subject, self.now(), None);
        if let Some(found) = self.find(subject, &look).await? {
            return Ok(found);
        }
        let look = self.shared.memory.look_anew(subject, self.now());
        let create = || async { self.create(subject).await.map(Some) };
        match look.found.get_or_try_init(create).await?.clone() {
            Some(key) => Ok(key),
            // Somebody who wanted to open something came first with this look, and found nothing.
            None => self.create(subject).await,
        }
    }

    async fn find(&self, subject: SubjectId, look: &Look) -> Result<Option<Arc<DataKey>>, Error> {
        look.found.get_or_try_init(|| self.load(subject)).await.cloned()
    }

    async fn load(&self, subject: SubjectId) -> Result<Option<Arc<DataKey>>, Error> {
        let loaded = match self.shared.keys.load(&subject).await {
            Ok(Some(loaded)) => loaded,
            // An operator may have ended the stream for good, which destroys the key as well.
            Ok(None) | Err(journal::Error::StreamDeleted { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match loaded.state.as_ref() {
            DataKeyState::Missing => Ok(None),
            DataKeyState::Kept(kept) => self.unwrap(subject, kept).map(Some),
            DataKeyState::Destroyed(destroyed) => {
                // An erasure was interrupted. It is in effect; what is left of it is done here.
                if let Err(error) = self.remove(subject, destroyed.key_id, loaded.revision).await {
                    tracing::warn!(%subject, %error, "a destroyed key is not removed yet");
                }
                Ok(None)
            }
        }
    }

    async fn create(&self, subject: SubjectId) -> Result<Arc<DataKey>, Error> {
        for _ in 0..ATTEMPTS {
            let (key_id, secret) = (ids::new_id(), master::random());
            let wrapped = self.shared.masters.wrap(&bound_to(subject, key_id), &secret);
            let Wrapped { wrapped, master_key_id } = wrapped;
            let created = DataKeyCreated { key_id, wrapped, master_key_id };
            let command = DataKeyCommand::Create(created);
            match self.shared.keys.execute(&subject, command, own_context(subject)).await {
                Ok(executed) => match executed.state.as_ref() {
                    DataKeyState::Kept(kept) => return self.unwrap(subject, kept),
                    // Destroyed again by somebody whose command was decided together with ours.
                    DataKeyState::Missing | DataKeyState::Destroyed(_) => {}
                },
                Err(ExecuteError::Rejected(DataKeyRejection::OldKeyStillThere)) => {
                    self.load(subject).await?;
                }
                Err(ExecuteError::Store(error)) => return Err(error.into()),
                Err(ExecuteError::Contended) => {}
            }
        }
        Err(Error::Contended { subject })
    }

    fn unwrap(&self, subject: SubjectId, kept: &DataKeyCreated) -> Result<Arc<DataKey>, Error> {
        let DataKeyCreated { key_id, wrapped, master_key_id } = kept;
        let bound = bound_to(subject, *key_id);
        match self.shared.masters.unwrap(&bound, wrapped, master_key_id) {
            Ok(secret) => Ok(Arc::new(DataKey::new(*key_id, &secret))),
            Err(Stuck::NotAuthentic) => Err(Error::DamagedKey { subject }),
            Err(Stuck::OtherMasterKey) => {
                Err(Error::MasterKeyMissing { subject, master_key_id: master_key_id.clone() })
            }
        }
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.shared.keys.journal().clock().now()
    }
}

/// What a wrapped key is authenticated with: it is of no use in another person's stream.
fn bound_to(subject: SubjectId, key_id: Uuid) -> Vec<u8> {
    let stream = stream_of::<KeyOfPerson>(&subject);
    authenticated(&["orderstore data key 1", stream.as_str(), &key_id.to_string()])
}

fn own_context(subject: SubjectId) -> Context {
    let command_id = ids::new_id();
    Context {
        command_id,
        correlation_id: subject.0,
        causation_id: command_id,
        actor: ACTOR.to_owned(),
        traceparent: None,
    }
}

impl<T> Opened<T> {
    /// What was sealed, or nothing when the person was erased.
    pub fn clear(self) -> Option<T> {
        match self {
            Self::Clear(value) => Some(value),
            Self::Erased => None,
        }
    }

    /// The same about something made of it.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Opened<U> {
        match self {
            Self::Clear(value) => Opened::Clear(of(value)),
            Self::Erased => Opened::Erased,
        }
    }
}

// Printed, it would be personal data in a log.
impl<T> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Clear(…)",
            Self::Erased => "Erased",
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("masters", &self.shared.masters).finish_non_exhaustive()
    }
}

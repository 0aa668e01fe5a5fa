//! States to bytes and back, for those that are too long in the making.
//!
//! Unlike an event, a state that was written down is never the only one of its kind: whoever cannot
//! read it folds the events again. So there are no upcasters here. An old version is ignored.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// How the states of an aggregate are written down ([Postcard](https://postcard.jamesmunns.com/wire-format)).
#[derive(Debug)]
pub struct StateFormat<S> {
    version: u32,
    write: fn(&S) -> Result<Vec<u8>, Unreadable>,
    read: fn(&[u8]) -> Result<S, Unreadable>,
}

/// Bytes are no state of ours, or a state has none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a state in the form of this build: {reason}")]
pub struct Unreadable {
    /// The parser's words.
    pub reason: String,
}

impl<S: Serialize + DeserializeOwned> StateFormat<S> {
    /// The form of `version`. Another one is due when the state's fields change, or what an event
    /// does to them.
    pub const fn version(version: u32) -> Self {
        Self { version, write, read }
    }
}

impl<S> StateFormat<S> {
    /// The version of what is written, and the only one that is read.
    pub const fn number(&self) -> u32 {
        self.version
    }

    /// `state` as bytes: all at once in memory.
    ///
    /// # Errors
    /// [`Unreadable`] if the state cannot be written in this form.
    pub fn write(&self, state: &S) -> Result<Vec<u8>, Unreadable> {
        (self.write)(state)
    }

    /// The state that was written as `bytes`, in this version.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(&self, bytes: &[u8]) -> Result<S, Unreadable> {
        (self.read)(bytes)
    }
}

fn write<S: Serialize>(state: &S) -> Result<Vec<u8>, Unreadable> {
    postcard::to_stdvec(state).map_err(unreadable)
}

fn read<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok((_, left)) => Err(Unreadable { reason: format!("{} bytes too many", left.len()) }),
        Err(error) => Err(unreadable(error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err asks for")]
fn unreadable(error: postcard::Error) -> Unreadable {
    Unreadable { reason: error.to_string() }
}

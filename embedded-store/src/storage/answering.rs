//! The way of answers from the writer to those who wait for them.

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{WriteError, Written};

/// Where the answer to a write goes.
pub(super) struct Reply {
    pub(super) sender: oneshot::Sender<Result<Written, WriteError>>,
    /// The write's share of the queue, given back with the answer.
    pub(super) _bytes: OwnedSemaphorePermit,
}

pub(super) type Answers = Vec<(Reply, Result<Written, WriteError>)>;

/// Takes answers to those who wait for them. To wake each of them costs time in which the next commit
/// could be under way, so that is done elsewhere, where there is such a place.
pub(super) struct Answering(Option<mpsc::UnboundedSender<Answers>>);

impl Answering {
    pub(super) fn start() -> Self {
        let Ok(runtime) = Handle::try_current() else { return Self(None) };
        let (sender, mut receiver) = mpsc::unbounded_channel();
        runtime.spawn(async move {
            while let Some(answers) = receiver.recv().await {
                answer(answers);
            }
        });
        Self(Some(sender))
    }

    pub(super) fn send(&self, answers: Answers) {
        match &self.0 {
            Some(sender) => {
                if let Err(unsent) = sender.send(answers) {
                    answer(unsent.0);
                }
            }
            None => answer(answers),
        }
    }
}

fn answer(answers: Answers) {
    for (reply, answer) in answers {
        // The caller may have gone; a write that was made holds all the same.
        let _ = reply.sender.send(answer);
    }
}

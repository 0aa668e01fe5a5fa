//! What was granted to a call that goes on for long. Rights may be withdrawn meanwhile, so whoever
//! serves it asks again when any have changed: before it hands on more, and while there is nothing to
//! hand on.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::guard::Guard;

/// The state of all rights when a caller was let in.
#[derive(Debug)]
pub(crate) struct Granted(Option<Rights>);

#[derive(Debug)]
struct Rights {
    guard: Arc<Guard>,
    /// How often rights had changed.
    era: u64,
    changes: watch::Receiver<u64>,
}

impl Granted {
    /// Taken before the caller is let in, so that no change is missed. Without a guard nothing ever
    /// changes.
    pub(super) fn now(guard: Option<&Arc<Guard>>) -> Self {
        Self(guard.map(|guard| Rights {
            guard: Arc::clone(guard),
            era: guard.era(),
            changes: guard.changes(),
        }))
    }

    /// Whether the caller has to be asked for again: some right has changed since this was asked last.
    pub(crate) fn is_outdated(&mut self) -> bool {
        self.0.as_mut().is_some_and(|rights| {
            let era = rights.guard.era();
            std::mem::replace(&mut rights.era, era) != era
        })
    }

    /// Waits until it is.
    pub(crate) async fn outdated(&mut self) {
        if let Some(rights) = &mut self.0 {
            let era = rights.era;
            if rights.changes.wait_for(|known| *known > era).await.is_ok() {
                return;
            }
        }
        // The server ends, and with it the call.
        std::future::pending::<()>().await;
    }
}

/// Tells those who wait when rights have changed.
pub(super) async fn announce(guard: Weak<Guard>, mut committed: watch::Receiver<u64>) {
    while committed.changed().await.is_ok() {
        let Some(guard) = guard.upgrade() else { return };
        guard.announce();
    }
}

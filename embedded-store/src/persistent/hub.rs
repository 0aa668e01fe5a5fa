//! Wakes the groups whose stream was written to. One task looks at what is committed, so that a
//! commit costs nothing for the thousands of groups that it does not concern.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::settings::Source;
use crate::storage::Storage;

/// Records looked at in one go.
const RECORDS: usize = 1_024;

type Listener = (u64, Arc<Notify>);

#[derive(Debug, Default)]
pub(crate) struct Hub {
    listeners: Mutex<Listeners>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Listeners {
    streams: HashMap<Arc<str>, Vec<Listener>>,
    all: Vec<Listener>,
}

/// While it lives, its group is woken.
#[derive(Debug)]
pub(crate) struct Listening {
    hub: Arc<Hub>,
    source: Source,
    number: u64,
}

impl Hub {
    /// Wakes `notify` whenever something may have been written to `source`.
    pub(crate) fn listen(self: &Arc<Self>, source: &Source, notify: Arc<Notify>) -> Listening {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut listeners = self.listeners();
        match source {
            Source::Stream(stream) => {
                listeners.streams.entry(Arc::clone(stream)).or_default().push((number, notify));
            }
            Source::All(_) => listeners.all.push((number, notify)),
        }
        drop(listeners);
        Listening { hub: Arc::clone(self), source: source.clone(), number }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until the server stops.
    pub(crate) async fn run(self: Arc<Self>, storage: Storage, stopping: CancellationToken) {
        let mut committed = storage.committed();
        let mut seen = *committed.borrow_and_update();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = committed.changed() => if changed.is_err() { return },
            }
            let end = *committed.borrow_and_update();
            let listeners = self.listeners();
            wake(&listeners.all);
            if listeners.streams.is_empty() {
                seen = end;
            }
            while seen < end {
                let Some(records) = storage.recent_after(seen, RECORDS) else {
                    listeners.streams.values().for_each(|listeners| wake(listeners));
                    seen = end;
                    break;
                };
                let Some(last) = records.last() else { break };
                seen = last.position;
                for record in &records {
                    if let Some(listeners) = listeners.streams.get(&record.stream) {
                        wake(listeners);
                    }
                }
            }
        }
    }
}

fn wake(listeners: &[Listener]) {
    for (_, notify) in listeners {
        notify.notify_one();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = self.hub.listeners();
        match &self.source {
            Source::Stream(stream) => {
                if let Some(of_stream) = listeners.streams.get_mut(stream) {
                    of_stream.retain(|(number, _)| *number != self.number);
                    if of_stream.is_empty() {
                        listeners.streams.remove(stream);
                    }
                }
            }
            Source::All(_) => listeners.all.retain(|(number, _)| *number != self.number),
        }
    }
}

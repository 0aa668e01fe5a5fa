//! Where a history is kept, and whether the one that is there is the one that is wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, Bytes};
use embedded_store::maintenance::{Records, Selection, import};
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::shop::{BEGINNING, Shop};
use super::{Parameters, Tally};

/// Says which history is in a folder.
const MARKER: &str = "history.json";
/// Folder of the event store.
const EVENT_STORE: &str = "event-store";
/// Raised when the same parameters tell another history than before.
const VERSION: u32 = 1;
/// Parts of the log that wait to be brought into the store.
const PARTS_AHEAD: usize = 1;

/// A history that is in a folder.
#[derive(Debug)]
pub(crate) struct History {
    /// Folder of the event store that holds it.
    pub(crate) event_store: PathBuf,
    /// What it amounts to.
    pub(crate) tally: Tally,
    /// Whether it was written just now.
    pub(crate) is_new: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    version: u32,
    parameters: Parameters,
    /// Nothing as long as it is being written.
    tally: Option<Tally>,
}

/// The history in `folder`: the one that is there if it is the same and nobody has appended to it since,
/// or else a new one in its place. The store must not be served meanwhile.
pub(crate) fn in_folder(parameters: &Parameters, folder: &Path) -> anyhow::Result<History> {
    let event_store = folder.join(EVENT_STORE);
    if let Some(tally) = there_already(parameters, folder, &event_store)? {
        return Ok(History { event_store, tally, is_new: false });
    }
    fs::create_dir_all(folder)?;
    mark(folder, parameters, None)?;
    if event_store.exists() {
        fs::remove_dir_all(&event_store)?;
    }
    let tally = write(parameters, &event_store)?;
    mark(folder, parameters, Some(tally.clone()))?;
    Ok(History { event_store, tally, is_new: true })
}

impl History {
    /// The history that is in `folder`, whatever its parameters.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let marker = fs::read(folder.join(MARKER))
            .with_context(|| format!("there is no history in {}", folder.display()))?;
        let Marker { parameters, .. } = serde_json::from_slice(&marker)?;
        let event_store = folder.join(EVENT_STORE);
        let tally = there_already(&parameters, folder, &event_store)?;
        let tally = tally.with_context(|| {
            format!("the history in {} is not complete, or has been added to", folder.display())
        })?;
        Ok(Self { event_store, tally, is_new: false })
    }

    /// Bytes that the event store takes on disk.
    pub(crate) fn size_on_disk(&self) -> anyhow::Result<u64> {
        let mut size = 0;
        for file in fs::read_dir(&self.event_store)? {
            size += file?.metadata()?.len();
        }
        Ok(size)
    }
}

fn there_already(
    parameters: &Parameters,
    folder: &Path,
    event_store: &Path,
) -> anyhow::Result<Option<Tally>> {
    let marker = folder.join(MARKER);
    if !marker.exists() {
        let is_empty = !folder.exists() || fs::read_dir(folder)?.next().is_none();
        if !is_empty {
            bail!("{} holds something else than a history; name another folder", folder.display());
        }
        return Ok(None);
    }
    // What cannot be read was written by another version, or not to its end.
    let Ok(found) = serde_json::from_slice::<Marker>(&fs::read(marker)?) else { return Ok(None) };
    if found.version != VERSION || found.parameters != *parameters {
        return Ok(None);
    }
    let Some(tally) = found.tally else { return Ok(None) };
    let records = Records::open(event_store, Selection::default())?;
    Ok((records.last_position() == tally.events).then_some(tally))
}

fn mark(folder: &Path, parameters: &Parameters, tally: Option<Tally>) -> anyhow::Result<()> {
    let marker = Marker { version: VERSION, parameters: parameters.clone(), tally };
    fs::write(folder.join(MARKER), serde_json::to_vec_pretty(&marker)?)
        .with_context(|| format!("{} cannot be written to", folder.display()))
}

/// Plays the shop on one core, and brings what it writes into the store on another.
fn write(parameters: &Parameters, event_store: &Path) -> anyhow::Result<Tally> {
    let (parts, arriving) = sync_channel(PARTS_AHEAD);
    let log = Log::new(BEGINNING, parameters.shape, parts);
    thread::scope(|scope| {
        let bringing = scope.spawn(move || bring_in(arriving, event_store));
        let told = Shop::new(parameters, log).and_then(Shop::run);
        let brought = bringing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        brought?;
        told
    })
}

fn bring_in(parts: Receiver<Bytes>, event_store: &Path) -> anyhow::Result<()> {
    for part in parts {
        let mut lines = || Ok(Box::new(part.clone().reader()) as Box<dyn std::io::BufRead>);
        import(event_store, &mut lines, &mut |_| {})?;
    }
    Ok(())
}

//! The embedded event store, each figure against the least that the same work could cost.

mod appends;
mod opening;
mod raw;
mod reads;

pub(crate) use self::appends::run as appends;
pub(crate) use self::opening::{Opening, run as opening};
pub(crate) use self::reads::run as reads;

use std::path::{Path, PathBuf};

use embedded_store::{Options, Server, serve};
use eventstore::{Client, EventData};

use crate::stage::free_port;

/// A folder for one run, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("orderstore-bench-{}", journal::ids::new_id().simple());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary folder, which is cleared anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A durable store in this folder, and a client that is connected to it.
async fn store_in(folder: &Path) -> anyhow::Result<(Server, Client)> {
    let server = serve(free_port().await?, Options::at(folder)).await?;
    let client = Client::new(server.connection_string().parse()?)?;
    Ok((server, client))
}

/// An event of `size` bytes of data, as binary, so that only bytes are measured.
fn event_of(size: usize) -> EventData {
    EventData::binary("order-placed", vec![0x5a; size].into()).id(journal::ids::new_id())
}

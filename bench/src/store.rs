//! The embedded event store, each figure against the least that the same work could cost.

mod appends;
mod opening;
mod raw;
mod reads;

pub(crate) use self::appends::run as appends;
pub(crate) use self::opening::{Opening, run as opening};
pub(crate) use self::reads::run as reads;

use std::path::Path;

use embedded_store::{Options, Server, serve};
use eventstore::{Client, EventData};

use crate::stage::free_port;

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

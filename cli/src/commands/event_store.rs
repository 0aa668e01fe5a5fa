//! The embedded event store: on its own, and what keeps it healthy.

mod copy;
mod lines;
mod maintenance;
mod place;

use std::net::IpAddr;

use anyhow::Context as _;

use self::copy::Copy;
use self::lines::{Export, Import};
use self::maintenance::{Backup, Compact, Verify};
use crate::commands::roles::listen;
use crate::store_security::StoreSecurity;
use crate::{data_dir, lifecycle};

/// An event store that speaks EventStoreDB's protocol, in one process, durable on local disk.
///
/// Without a command it serves. The commands look after its data.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct EventStore {
    #[command(subcommand)]
    maintenance: Option<Maintenance>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, clap::Subcommand)]
enum Maintenance {
    /// Copies the store, whether or not it runs, into a folder that a server can be started on
    Backup(Backup),
    /// Checks every event against its checksum, every stream for gaps, and the file itself
    Verify(Verify),
    /// Removes deleted and expired events for good and gives their space back
    Compact(Compact),
    /// Writes every event as a line of JSON
    Export(Export),
    /// Takes in what `export` wrote
    Import(Import),
    /// Copies everything to another event store, for example a cluster
    Copy(Copy),
}

/// How it serves.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Serve {
    /// Address to listen on. Without TLS and logins, keep it on this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on
    #[arg(long, value_name = "PORT", env = "ORDERSTORE_EVENT_STORE_PORT", default_value_t = 2113)]
    port: u16,
    /// Name or address by which clients that discover the store are told to call it. With
    /// `--event-store-tls-development`, the certificate is for it too. Default: `--host`
    #[arg(long, value_name = "HOST", env = "ORDERSTORE_EVENT_STORE_ADVERTISE")]
    advertise: Option<String>,
    /// Bytes that one append may have, all its events together
    #[arg(
        long,
        value_name = "BYTES",
        env = "ORDERSTORE_EVENT_STORE_MAX_APPEND_SIZE",
        default_value_t = embedded_store::MAX_APPEND_SIZE,
        value_parser = append_size,
    )]
    max_append_size: usize,
    #[command(flatten)]
    data_dir: data_dir::Location,
    #[command(flatten)]
    security: StoreSecurity,
}

impl EventStore {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.maintenance {
            None => self.serve.run().await,
            Some(Maintenance::Backup(backup)) => backup.run().await,
            Some(Maintenance::Verify(verify)) => verify.run().await,
            Some(Maintenance::Compact(compact)) => compact.run().await,
            Some(Maintenance::Export(export)) => export.run().await,
            Some(Maintenance::Import(import)) => import.run().await,
            Some(Maintenance::Copy(copy)) => copy.run().await,
        }
    }
}

impl Serve {
    async fn run(self) -> anyhow::Result<()> {
        let stop = lifecycle::stop_on_signal()?;
        let options = embedded_store::Options::at(self.data_dir.resolve()?.event_store());
        let listener = listen((self.host, self.port)).await?;
        let port = listener.local_addr()?.port();
        let advertised = self.advertise.map(|host| (host, port));
        let options = self.security.apply(embedded_store::Options {
            advertised,
            opening_event: true,
            max_append_size: self.max_append_size,
            ..options
        })?;
        let server =
            embedded_store::serve(listener, options).await.map_err(StoreSecurity::explain)?;
        println!("Event store on {}", server.connection_string());
        println!("Its events on {}", server.web_page());
        tokio::select! {
            () = stop.cancelled() => server.stop().await,
            failed = server.stopped() => failed.context("the event store failed")?,
        }
        Ok(())
    }
}

/// From a kilobyte, which every event fits in, to what a message of the protocol can hold.
fn append_size(text: &str) -> Result<usize, String> {
    let size: usize = text.parse().map_err(|_| "not a number of bytes".to_owned())?;
    let sizes = 1 << 10..=64 << 20;
    if sizes.contains(&size) {
        Ok(size)
    } else {
        Err(format!("not between {} and {} bytes", sizes.start(), sizes.end()))
    }
}

//! The one binary: `orderstore`. Reads the command line and the environment, ties the crates
//! together, and holds no rule of any kind.
//!
//! In reading order: [`commands`], one file each; the [`stores`] and the [`client`] that they reach
//! the world with; [`asking`] the API and [`wording`] its answers; the [`data_dir`] of a store on
//! embedded defaults, and how its event store is guarded ([`store_security`]); the [`scenarios`]; what
//! an [`import`] file means; [`lifecycle`], [`output`] and [`telemetry`].

mod asking;
mod client;
mod commands;
mod data_dir;
mod import;
mod lifecycle;
mod output;
mod scenarios;
mod store_security;
mod stores;
mod telemetry;
mod wording;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use crate::commands::customers::Customers;
use crate::commands::erase_customer::EraseCustomer;
use crate::commands::event_store::EventStore;
use crate::commands::import::Import;
use crate::commands::orders::Orders;
use crate::commands::projections::Projections;
use crate::commands::roles::{Api, Migrate, Partners, ProcessManagers, Projector, Schema};
use crate::commands::scenario::Scenario;
use crate::commands::stock::Stock;
use crate::commands::streams::Streams;
use crate::commands::up::Up;

/// Everything here is many small pieces that are made on one thread and dropped on another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// An event-sourced order store: orders as events, processes that fulfil them, read models that can
/// be rebuilt at any time.
///
/// `orderstore up` starts everything in one process on embedded defaults. In production the roles
/// run apart: `api`, `projector` and `process-managers`, against an EventStoreDB and a Postgres.
/// Every setting can be given as a flag or in the environment.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// What is logged to standard error: error, warn, info, debug, trace, or per module as in
    /// `info,journal=debug`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "ORDERSTORE_LOG",
        default_value = "warn"
    )]
    log: String,

    /// How it is logged
    #[arg(long, global = true, env = "ORDERSTORE_LOG_FORMAT", value_enum, default_value_t)]
    log_format: telemetry::Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything in one process: event store, Postgres, partners, all roles
    Up(Box<Up>),
    /// Role: serves GraphQL
    Api(Box<Api>),
    /// Role: keeps the read models in Postgres up to date
    Projector(Box<Projector>),
    /// Role: drives stock, payment and shipping
    ProcessManagers(Box<ProcessManagers>),
    /// The embedded event store on its own
    EventStore(Box<EventStore>),
    /// The simulated payment gateway and carrier on their own
    Partners(Box<Partners>),
    /// Prepares a Postgres database for the read models
    Migrate(Migrate),
    /// Orders: lists, shows and changes them
    Orders(Box<Orders>),
    /// Stock: what is on which shelf, goods that come, corrections
    Stock(Box<Stock>),
    /// Customers: what their orders add up to
    Customers(Customers),
    /// Takes a shop's history through the real write path
    Import(Box<Import>),
    /// Tells a story: an order from placed to its end, event by event
    Scenario(Box<Scenario>),
    /// Forgets who a customer is: destroys the keys of their personal data
    EraseCustomer(EraseCustomer),
    /// Audits: lists streams, shows every event with its actor and cause
    Streams(Streams),
    /// Read models: how far they are, and how to rebuild them
    Projections(Projections),
    /// Prints the GraphQL schema
    Schema(Schema),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    // The event store's client insists on being first here; see `journal`.
    if let Err(error) = journal::prepare_tls() {
        return fail(&anyhow::anyhow!(error));
    }
    telemetry::start(&cli.log, cli.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::anyhow!(error).context("cannot start threads")),
    };
    let outcome = runtime.block_on(run(cli.command));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome.unwrap_or_else(|error| fail(&error))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        // These tell by their exit code what they have found.
        Command::Projections(projections) => return projections.run().await,
        Command::Up(up) => up.run().await,
        Command::Api(api) => api.run().await,
        Command::Projector(projector) => projector.run().await,
        Command::ProcessManagers(managers) => managers.run().await,
        Command::EventStore(event_store) => event_store.run().await,
        Command::Partners(partners) => partners.run().await,
        Command::Migrate(migrate) => migrate.run().await,
        Command::Orders(orders) => orders.run().await,
        Command::Stock(stock) => stock.run().await,
        Command::Customers(customers) => customers.run().await,
        Command::Import(import) => import.run().await,
        Command::Scenario(scenario) => scenario.run().await,
        Command::EraseCustomer(erase) => erase.run().await,
        Command::Streams(streams) => streams.run().await,
        Command::Schema(Schema {}) => {
            Schema::print();
            Ok(())
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// 64 is `EX_USAGE`; the parser's own 2 means that something was found.
fn not_understood(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told that standard error is closed.
    let _ = error.print();
    if error.exit_code() == 0 { ExitCode::SUCCESS } else { ExitCode::from(64) }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("orderstore: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn no_two_settings_of_a_command_contradict_each_other() {
        Cli::command().debug_assert();
    }
}

//! `orderstore orders`: lists, shows and changes orders through the public API.

mod acting;
mod history;
mod list;
mod naming;
mod page;
mod show;

use clap::Subcommand;

pub(super) use self::list::{Listed, ORDER_ROW, say_orders};

/// Orders, over the public API.
#[derive(Debug, clap::Args)]
pub(crate) struct Orders {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists orders, the latest placed first
    List(list::List),
    /// Shows an order: where it stands, its lines, money, shipments, returns, what can be done
    Show(show::Show),
    /// Shows what happened to an order: who, when, what changed
    History(history::History),
    /// Cancels an order, or units of it
    Cancel(acting::Cancel),
    /// Holds an order: nothing of it is confirmed, dispatched or captured
    Hold(acting::Hold),
    /// Takes a hold away
    Release(acting::Release),
    /// Pays money back
    Refund(acting::Refund),
    /// Plans a shipment of what is set aside at a location
    Ship(acting::Ship),
    /// Records money that came without the gateway, such as a bank transfer
    MarkPaid(acting::MarkPaid),
}

impl Orders {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::History(history) => history.run().await,
            Command::Cancel(cancel) => cancel.run().await,
            Command::Hold(hold) => hold.run().await,
            Command::Release(release) => release.run().await,
            Command::Refund(refund) => refund.run().await,
            Command::Ship(ship) => ship.run().await,
            Command::MarkPaid(paid) => paid.run().await,
        }
    }
}

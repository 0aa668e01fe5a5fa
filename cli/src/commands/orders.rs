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
    List(list::List),
    Show(show::Show),
    History(history::History),
    Cancel(acting::Cancel),
    Hold(acting::Hold),
    Release(acting::Release),
    Refund(acting::Refund),
    Ship(acting::Ship),
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

//! `orderstore scenario`: tells a story through the public API and shows every event as it happens.

use anyhow::Context as _;
use futures::StreamExt;

use crate::output::say;
use crate::scenarios;
use crate::stores::Api;

/// Places an order and shows each of its events, live, until nothing is left to happen.
///
/// 1: from placed to delivered. 2: the payment is declined. 3: there is not enough stock.
/// 4: the customer cancels while the payment is in flight. 5: the gateway times out, is asked, and
/// turns out to have charged. 6: two shipments from two locations. 7: goods are awaited. 8: a return
/// with a refund. 9: the order is held and released. 10: charged at once, cancelled, paid back.
#[derive(Debug, clap::Args)]
pub(crate) struct Scenario {
    /// Which story
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(scenarios::COUNT)))]
    number: u32,
    #[command(flatten)]
    api: Api,
}

impl Scenario {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let scenario = scenarios::find(self.number)
            .with_context(|| format!("there are scenarios 1 to {}", scenarios::COUNT))?;
        let mut lines = scenarios::tell(scenario, self.api.client()?);
        let mut told_well = true;
        while let Some(line) = lines.next().await {
            told_well &= !line.starts_with(scenarios::FAILED);
            say(line);
        }
        anyhow::ensure!(told_well, "the scenario did not end as it should");
        Ok(())
    }
}

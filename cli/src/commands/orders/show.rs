//! `orderstore orders show`: what is asked of the API. How it looks is in [`page`](super::page).

use std::str::FromStr;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::naming::Named;
use super::page::Order;
use crate::asking::{Asking, find, read};
use crate::output::say;

const ORDER: &str = "
    query($id: UUID, $number: String, $asOf: AsOfInput) {
        it: order(id: $id, number: $number, asOf: $asOf) {
            id number channel externalReference customer country tags version placedAt updatedAt
            quarantined
            status paymentStatus fulfilmentStatus returnStatus
            reason { code sku }
            holds { name reason automatic }
            lines {
                index sku title quantity cancelled allocated { location quantity } backordered
                shipped delivered returnRequested returned refunded unitPrice { ...m } total { ...m }
            }
            originalTotal { ...m } total { ...m } authorised { ...m } captured { ...m }
            refunded { ...m } outstanding { ...m }
            payments {
                id authorised { ...m } held { ...m } captured { ...m } refunded { ...m }
                chargedBack { ...m } expired expiresAt declineCode receivedAs
            }
            captures { id paymentId amount { ...m } status error }
            refunds { id paymentId amount { ...m } lines { line quantity } reason status error }
            shipments {
                id location status lines { line quantity }
                parcels { carrier trackingNumber trackingUrl events { status at } }
            }
            returns {
                id status reason lines { line quantity }
                received { line quantity disposition }
            }
            availableActions
        }
    }
    fragment m on Money { amount currencyCode }";

/// Shows an order on one page
///
/// Where it stands, its lines with what became of their units, its money, shipments and returns, and
/// what can be done with it. What there is none of is left out. Times are in UTC.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Which order, by id or number
    order: Named,
    /// As it was then: after the event of this number in `orders history`, or at a time such as
    /// 2026-01-31T12:00:00Z
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    #[command(flatten)]
    asking: Asking,
}

/// A moment in the past of an order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum AsOf {
    Revision(u32),
    Time(DateTime<Utc>),
}

impl FromStr for AsOf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(revision) = text.parse() {
            return Ok(Self::Revision(revision));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| "give the number of an event, or a time such as 2026-01-31T12:00:00Z")
    }
}

impl AsOf {
    fn as_input(self) -> Value {
        match self {
            Self::Revision(revision) => json!({ "revision": revision }),
            Self::Time(time) => json!({ "time": time }),
        }
    }
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = self.asking.client()?;
        let mut variables = self.order.as_variables();
        variables["asOf"] = json!(self.as_of.map(AsOf::as_input));
        let found = find(&client, ORDER, variables).await?;
        let found = found.with_context(|| match self.as_of {
            None => self.order.unknown(),
            Some(_) => format!("there is no order {}, or there was none then", self.order),
        })?;
        if self.asking.json {
            say(found);
            return Ok(());
        }
        read::<Order>(found)?.say();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_named_by_an_event_or_by_a_time() {
        assert_eq!("7".parse(), Ok(AsOf::Revision(7)));
        let time = "2026-01-31T12:00:00+01:00".parse::<AsOf>().unwrap();
        assert_eq!(time.as_input(), json!({ "time": "2026-01-31T11:00:00Z" }));
        assert!("yesterday".parse::<AsOf>().is_err());
    }
}

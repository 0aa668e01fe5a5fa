//! `orderstore orders cancel`, `hold`, `release`, `refund`, `ship` and `mark-paid`: what people do to
//! an order. Whether it may be done, the API says.

use anyhow::Context as _;
use clap::ArgGroup;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::naming::Named;
use crate::asking::{Change, Changing, fields};
use crate::output::say;
use crate::wording::{CANCEL_REASON, HOLD_REASON, LineUnits, REFUND_REASON, Word, one_of};

/// What a line about an order needs.
const STATE: &str =
    "order { id number version status paymentStatus fulfilmentStatus returnStatus }";

/// An order, and how the API is asked to change it.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Target {
    /// Which order, by id or number
    order: Named,
    #[command(flatten)]
    changing: Changing,
}

/// Cancels an order, or units of it
///
/// What has not left is not sent, and its money is let go or paid back.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    target: Target,
    /// Why
    #[arg(long, value_parser = one_of(&CANCEL_REASON))]
    reason: String,
    /// Only so many units of this line, lines counted from 0; may be repeated. Default: all
    #[arg(long = "line", value_name = "N:QTY")]
    lines: Vec<LineUnits>,
}

/// Holds an order: nothing of it is confirmed, dispatched or captured
#[derive(Debug, clap::Args)]
pub(super) struct Hold {
    #[command(flatten)]
    target: Target,
    /// What the hold is called
    name: String,
    /// Why
    #[arg(long, value_parser = one_of(&HOLD_REASON))]
    reason: String,
}

/// Takes a hold away; when it was the last one, what may leave leaves
#[derive(Debug, clap::Args)]
pub(super) struct Release {
    #[command(flatten)]
    target: Target,
    /// What the hold is called
    name: String,
}

/// Pays money back: an amount, or exactly what units cost that have left
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["amount", "lines"]))]
pub(super) struct Refund {
    #[command(flatten)]
    target: Target,
    /// So much, in the currency of the order, such as 12.50
    #[arg(long)]
    amount: Option<String>,
    /// What so many units of this line cost, lines counted from 0; may be repeated
    #[arg(long = "line", value_name = "N:QTY")]
    lines: Vec<LineUnits>,
    /// Why
    #[arg(long, value_parser = one_of(&REFUND_REASON))]
    reason: String,
}

/// Plans a shipment, which leaves once it is cleared
#[derive(Debug, clap::Args)]
pub(super) struct Ship {
    #[command(flatten)]
    target: Target,
    /// From where
    #[arg(long)]
    location: String,
    /// Only so many units of this line, lines counted from 0; may be repeated. Default: everything set
    /// aside there that is in no other shipment
    #[arg(long = "line", value_name = "N:QTY")]
    lines: Vec<LineUnits>,
    /// Clear it, so that it leaves
    #[arg(long)]
    clear: bool,
}

/// Records money that came without the gateway, such as a bank transfer
#[derive(Debug, clap::Args)]
pub(super) struct MarkPaid {
    #[command(flatten)]
    target: Target,
    /// How much came, in the currency of the order, such as 12.50
    #[arg(long)]
    amount: String,
    /// How your books know it, such as the number of the transfer
    #[arg(long)]
    reference: String,
}

/// A change of one order that is under way.
struct OrderChange {
    change: Change,
    /// The order's id.
    id: Value,
}

#[derive(Deserialize)]
struct Payload {
    order: Order,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    id: String,
    number: Option<String>,
    version: u64,
    status: Word,
    payment_status: Word,
    fulfilment_status: Word,
    return_status: Word,
}

impl Cancel {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let of_order = self.target.begin().await?;
        let reason = json!(self.reason);
        let input = [("id", of_order.id.clone()), ("reason", reason), ("lines", some(&self.lines))];
        of_order.run("orderCancel", fields(input)).await
    }
}

impl Hold {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let of_order = self.target.begin().await?;
        let (name, reason) = (json!(self.name), json!(self.reason));
        let input = [("id", of_order.id.clone()), ("name", name), ("reason", reason)];
        of_order.run("orderHold", fields(input)).await
    }
}

impl Release {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let of_order = self.target.begin().await?;
        let input = [("id", of_order.id.clone()), ("name", json!(self.name))];
        of_order.run("orderHoldRelease", fields(input)).await
    }
}

impl Refund {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let of_order = self.target.begin().await?;
        let amount = self.amount.map(|amount| json!({ "amount": amount }));
        let input = [
            ("orderId", of_order.id.clone()),
            ("amount", json!(amount)),
            ("lines", some(&self.lines)),
            ("reason", json!(self.reason)),
        ];
        of_order.run_making("refundCreate", "refundId", fields(input)).await
    }
}

impl MarkPaid {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let of_order = self.target.begin().await?;
        let input = [
            ("id", of_order.id.clone()),
            ("amount", json!({ "amount": self.amount })),
            ("reference", json!(self.reference)),
        ];
        of_order.run_making("orderMarkPaid", "paymentId", fields(input)).await
    }
}

impl Ship {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let of_order = self.target.begin().await?;
        let OrderChange { change, id } = &of_order;
        let input = fields([
            ("orderId", id.clone()),
            ("location", json!(self.location)),
            ("lines", some(&self.lines)),
        ]);
        let wanted = format!("{STATE} shipmentId");
        let planned = change.run("shipmentCreate", &wanted, input).await?;
        let shipment = planned["shipmentId"].clone();
        let again = format!("the same command with --clear --idempotency-key {}", change.key);
        if !self.clear {
            return change.print(planned, |payload: Payload| {
                payload.order.say();
                say(format_args!("shipmentId: {}", in_words(&shipment)));
                say(format_args!("It leaves once it is cleared: {again}"));
            });
        }
        let input = fields([("orderId", id.clone()), ("shipmentId", shipment.clone())]);
        let cleared = change.run("shipmentClear", STATE, input).await.with_context(|| {
            let shipment = in_words(&shipment);
            format!("shipment {shipment} is planned but not cleared, to try again: {again}")
        });
        let mut cleared = cleared?;
        cleared["shipmentId"] = shipment;
        of_order.print(cleared, "shipmentId")
    }
}

impl Target {
    async fn begin(&self) -> anyhow::Result<OrderChange> {
        let change = self.changing.begin()?;
        let id = self.order.id(&change.client).await?;
        Ok(OrderChange { change, id: json!(id) })
    }
}

impl OrderChange {
    async fn run(&self, field: &str, input: Map<String, Value>) -> anyhow::Result<()> {
        let payload = self.change.run(field, STATE, input).await?;
        self.change.print(payload, |payload: Payload| payload.order.say())
    }

    /// The same with something new, whose id is `made`.
    async fn run_making(
        &self,
        field: &str,
        made: &str,
        input: Map<String, Value>,
    ) -> anyhow::Result<()> {
        let payload = self.change.run(field, &format!("{STATE} {made}"), input).await?;
        self.print(payload, made)
    }

    fn print(&self, payload: Value, made: &str) -> anyhow::Result<()> {
        let id = in_words(&payload[made]);
        self.change.print(payload, |payload: Payload| {
            payload.order.say();
            say(format_args!("{made}: {id}"));
        })
    }
}

impl Order {
    fn say(&self) {
        say(format_args!(
            "Order {}, version {}: {}, payment {}, goods {}, returns {}",
            self.number.as_ref().unwrap_or(&self.id),
            self.version,
            self.status,
            self.payment_status,
            self.fulfilment_status,
            self.return_status,
        ));
    }
}

/// Units that are given; null if none are.
fn some(lines: &[LineUnits]) -> Value {
    if lines.is_empty() { Value::Null } else { json!(lines) }
}

fn in_words(id: &Value) -> String {
    id.as_str().unwrap_or("none").to_owned()
}

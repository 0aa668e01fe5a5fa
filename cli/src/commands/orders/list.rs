//! `orderstore orders list`.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asking::{Asking, list};
use crate::output::{say_table, table, to_the_right};
use crate::wording::{
    FULFILMENT_STATUS, Money, ORDER_STATUS, PAYMENT_STATUS, RETURN_STATUS, Word, maybe, one_of,
    time,
};

/// What a row of a table of orders needs.
pub(in crate::commands) const ORDER_ROW: &str = "id number placedAt status paymentStatus \
    fulfilmentStatus returnStatus onHold customer total { amount currencyCode }";

/// Lists orders, the latest placed first
///
/// Options narrow the list down; one that takes several values, separated by commas, lets those with
/// any of them pass. Times are in UTC.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// How far the order is as a whole
    #[arg(long, value_delimiter = ',', value_parser = one_of(&ORDER_STATUS))]
    status: Vec<String>,
    /// Where its money is
    #[arg(long, value_delimiter = ',', value_parser = one_of(&PAYMENT_STATUS))]
    payment_status: Vec<String>,
    /// Where its goods are
    #[arg(long, value_delimiter = ',', value_parser = one_of(&FULFILMENT_STATUS))]
    fulfilment_status: Vec<String>,
    /// What came back
    #[arg(long, value_delimiter = ',', value_parser = one_of(&RETURN_STATUS))]
    return_status: Vec<String>,
    /// The customer's id in the system that knows the person
    #[arg(long, value_name = "REF")]
    customer: Option<String>,
    /// A tag on the order
    #[arg(long)]
    tag: Option<String>,
    /// Only orders that are held
    #[arg(long)]
    on_hold: bool,
    /// With a line of this SKU, whatever became of it
    #[arg(long)]
    sku: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    asking: Asking,
}

/// A row of a table of orders.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct Listed {
    id: String,
    number: Option<String>,
    placed_at: DateTime<Utc>,
    status: Word,
    payment_status: Word,
    fulfilment_status: Word,
    return_status: Word,
    on_hold: bool,
    customer: Option<String>,
    total: Money,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let query = format!(
            "query($first: Int!, $after: String, $where: OrderWhere) {{ \
             it: orders(first: $first, after: $after, where: $where) {{ \
             nodes {{ {ORDER_ROW} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let client = self.asking.client()?;
        let found =
            list(&client, &query, json!({ "where": self.conditions() }), self.limit).await?;
        self.asking.print(found, |orders| say_orders(&orders))
    }

    fn conditions(&self) -> Value {
        let any_of = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        json!({
            "status": any_of(&self.status),
            "paymentStatus": any_of(&self.payment_status),
            "fulfilmentStatus": any_of(&self.fulfilment_status),
            "returnStatus": any_of(&self.return_status),
            "customer": self.customer,
            "tag": self.tag,
            "onHold": self.on_hold.then_some(true),
            "sku": self.sku,
        })
    }
}

pub(in crate::commands) fn say_orders(orders: &[Listed]) {
    let mut table = table(&[
        "ORDER",
        "PLACED",
        "STATUS",
        "PAYMENT",
        "FULFILMENT",
        "RETURNS",
        "HELD",
        "TOTAL",
        "CUSTOMER",
    ]);
    for order in orders {
        table.add_row([
            order.number.as_ref().unwrap_or(&order.id).clone(),
            time(order.placed_at),
            order.status.to_string(),
            order.payment_status.to_string(),
            order.fulfilment_status.to_string(),
            order.return_status.to_string(),
            maybe(order.on_hold.then_some("held")),
            order.total.to_string(),
            maybe(order.customer.as_ref()),
        ]);
    }
    to_the_right(&mut table, [7]);
    say_table(&table);
}

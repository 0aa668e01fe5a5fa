//! An order on one page, for people. What does not exist is not mentioned.

use chrono::{DateTime, Utc};
use comfy_table::Table;
use serde::Deserialize;

use crate::output::{facts, say, say_table, table, to_the_right};
use crate::wording::{LineUnits, Money, Word, list, maybe, time};

/// An order, as far as the page shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    id: String,
    number: Option<String>,
    channel: String,
    external_reference: Option<String>,
    customer: Option<String>,
    country: String,
    tags: Vec<String>,
    version: u64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    quarantined: bool,
    status: Word,
    payment_status: Word,
    fulfilment_status: Word,
    return_status: Word,
    reason: Option<Reason>,
    holds: Vec<Hold>,
    lines: Vec<Line>,
    original_total: Money,
    total: Money,
    authorised: Money,
    captured: Money,
    refunded: Money,
    outstanding: Money,
    payments: Vec<Payment>,
    captures: Vec<Capture>,
    refunds: Vec<Refund>,
    shipments: Vec<Shipment>,
    returns: Vec<Return>,
    available_actions: Vec<Word>,
}

#[derive(Deserialize)]
struct Reason {
    code: Word,
    sku: Option<String>,
}

#[derive(Deserialize)]
struct Hold {
    name: String,
    reason: Word,
    automatic: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    index: u32,
    sku: String,
    title: String,
    quantity: u32,
    cancelled: u32,
    allocated: Vec<AtLocation>,
    backordered: u32,
    shipped: u32,
    delivered: u32,
    return_requested: u32,
    returned: u32,
    refunded: u32,
    unit_price: Money,
    total: Money,
}

#[derive(Deserialize)]
struct AtLocation {
    location: String,
    quantity: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    id: String,
    authorised: Money,
    held: Money,
    captured: Money,
    refunded: Money,
    charged_back: Money,
    expired: bool,
    expires_at: Option<DateTime<Utc>>,
    decline_code: Option<String>,
    received_as: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capture {
    id: String,
    payment_id: String,
    amount: Money,
    status: Word,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refund {
    id: String,
    payment_id: String,
    amount: Money,
    lines: Vec<LineUnits>,
    reason: Word,
    status: Word,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Shipment {
    id: String,
    location: String,
    status: Word,
    lines: Vec<LineUnits>,
    parcels: Vec<Parcel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parcel {
    carrier: String,
    tracking_number: String,
    tracking_url: Option<String>,
    events: Vec<News>,
}

#[derive(Deserialize)]
struct News {
    status: Word,
    at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Return {
    id: String,
    status: Word,
    reason: Word,
    lines: Vec<LineUnits>,
    received: Vec<Received>,
}

#[derive(Deserialize)]
struct Received {
    line: u32,
    quantity: u32,
    disposition: Word,
}

/// The name of a column, and what stands in it.
type Column = (&'static str, fn(&Line) -> String);

const ORDERED: &str = "ORDERED";

/// What became of the units of a line, by the names of columns. Those are left out in which nothing
/// stands for any line.
const LEDGER: [Column; 9] = [
    (ORDERED, |line| line.quantity.to_string()),
    ("CANCELLED", |line| line.cancelled.to_string()),
    ("ALLOCATED", Line::allocated_in_words),
    ("BACKORDERED", |line| line.backordered.to_string()),
    ("SHIPPED", |line| line.shipped.to_string()),
    ("DELIVERED", |line| line.delivered.to_string()),
    ("TO RETURN", |line| line.return_requested.to_string()),
    ("RETURNED", |line| line.returned.to_string()),
    ("REFUNDED", |line| line.refunded.to_string()),
];

impl Order {
    pub(super) fn say(&self) {
        self.say_head();
        self.say_lines();
        self.say_money();
        self.say_payments();
        self.say_captures();
        self.say_refunds();
        self.say_shipments();
        self.say_returns();
        say(format_args!("\nWhat can be done: {}", list(&self.available_actions)));
    }

    fn say_head(&self) {
        say(format_args!("Order {}", self.number.as_ref().unwrap_or(&self.id)));
        let known_as = self.external_reference.as_ref();
        let known_as = known_as.map(|it| format!(" as {it}")).unwrap_or_default();
        let mut facts = facts();
        for (name, value) in [
            ("id", self.id.clone()),
            ("placed", format!("{} through {}{known_as}", time(self.placed_at), self.channel)),
            ("changed", format!("{}, version {}", time(self.updated_at), self.version)),
            ("country", self.country.clone()),
            ("customer", maybe(self.customer.as_ref())),
            ("tags", self.tags.join(", ")),
            ("status", format!("{}{}", self.status, self.because())),
            ("payment", self.payment_status.to_string()),
            ("fulfilment", self.fulfilment_status.to_string()),
            ("returns", self.return_status.to_string()),
        ] {
            if !value.is_empty() {
                facts.add_row([name, &value]);
            }
        }
        for Hold { name, reason, automatic } in &self.holds {
            let by = if *automatic { ", by a rule" } else { "" };
            facts.add_row(["held", &format!("{name} ({reason}{by})")]);
        }
        say_table(&facts);
        if self.quarantined {
            say(
                "\nA later event of this order could not be understood: what is shown may be out of date.",
            );
        }
    }

    fn because(&self) -> String {
        let Some(Reason { code, sku }) = &self.reason else { return String::new() };
        let of = sku.as_ref().map(|sku| format!(" of {sku}")).unwrap_or_default();
        format!(" ({code}{of})")
    }

    fn say_lines(&self) {
        let happened =
            |units: &dyn Fn(&Line) -> String| self.lines.iter().any(|it| units(it) != "0");
        let ledger = LEDGER.iter().filter(|(name, units)| *name == ORDERED || happened(units));
        let ledger: Vec<_> = ledger.collect();
        let mut header = vec!["LINE", "SKU", "TITLE", "PRICE", "TOTAL"];
        header.extend(ledger.iter().map(|(name, _)| *name));
        let mut table = titled(&header);
        for line in &self.lines {
            let mut row = vec![
                line.index.to_string(),
                line.sku.clone(),
                line.title.clone(),
                line.unit_price.to_string(),
                line.total.to_string(),
            ];
            row.extend(ledger.iter().map(|(_, units)| units(line)));
            table.add_row(row);
        }
        to_the_right(&mut table, 3..header.len());
        say_table(&table);
    }

    fn say_money(&self) {
        let mut facts = facts();
        say("");
        for (name, money) in [
            ("ordered for", &self.original_total),
            ("total now", &self.total),
            ("authorised", &self.authorised),
            ("captured", &self.captured),
            ("refunded", &self.refunded),
            ("outstanding", &self.outstanding),
        ] {
            facts.add_row([name, &money.to_string()]);
        }
        to_the_right(&mut facts, 1..2);
        say_table(&facts);
    }

    fn say_payments(&self) {
        if self.payments.is_empty() {
            return;
        }
        let mut table =
            titled(&["PAYMENT", "AUTHORISED", "HELD", "CAPTURED", "REFUNDED", "CHARGED BACK", ""]);
        for payment in &self.payments {
            table.add_row([
                payment.id.clone(),
                payment.authorised.to_string(),
                payment.held.to_string(),
                payment.captured.to_string(),
                payment.refunded.to_string(),
                payment.charged_back.to_string(),
                payment.remark(),
            ]);
        }
        to_the_right(&mut table, 1..6);
        say_table(&table);
    }

    fn say_captures(&self) {
        if self.captures.is_empty() {
            return;
        }
        let mut table = titled(&["CAPTURE", "AMOUNT", "STATUS", "OF PAYMENT", ""]);
        for capture in &self.captures {
            table.add_row([
                capture.id.clone(),
                capture.amount.to_string(),
                capture.status.to_string(),
                capture.payment_id.clone(),
                maybe(capture.error.as_ref()),
            ]);
        }
        to_the_right(&mut table, 1..2);
        say_table(&table);
    }

    fn say_refunds(&self) {
        if self.refunds.is_empty() {
            return;
        }
        let header = ["REFUND", "AMOUNT", "STATUS", "REASON", "UNITS", "OF PAYMENT", ""];
        let mut table = titled(&header);
        for refund in &self.refunds {
            table.add_row([
                refund.id.clone(),
                refund.amount.to_string(),
                refund.status.to_string(),
                refund.reason.to_string(),
                list(&refund.lines),
                refund.payment_id.clone(),
                maybe(refund.error.as_ref()),
            ]);
        }
        to_the_right(&mut table, 1..2);
        say_table(&table);
    }

    fn say_shipments(&self) {
        if self.shipments.is_empty() {
            return;
        }
        let mut table = titled(&["SHIPMENT", "FROM", "STATUS", "UNITS", "PARCELS"]);
        for shipment in &self.shipments {
            let parcels: Vec<_> = shipment.parcels.iter().map(Parcel::in_words).collect();
            table.add_row([
                shipment.id.clone(),
                shipment.location.clone(),
                shipment.status.to_string(),
                list(&shipment.lines),
                if parcels.is_empty() { "-".to_owned() } else { parcels.join("\n") },
            ]);
        }
        say_table(&table);
    }

    fn say_returns(&self) {
        if self.returns.is_empty() {
            return;
        }
        let mut table = titled(&["RETURN", "STATUS", "REASON", "UNITS", "RECEIVED"]);
        for one in &self.returns {
            let received = one.received.iter().map(|it| {
                let Received { line, quantity, disposition } = it;
                format!("{line}:{quantity} {disposition}")
            });
            table.add_row([
                one.id.clone(),
                one.status.to_string(),
                one.reason.to_string(),
                list(&one.lines),
                list(received),
            ]);
        }
        say_table(&table);
    }
}

impl Line {
    fn allocated_in_words(&self) -> String {
        if self.allocated.is_empty() {
            return "0".to_owned();
        }
        list(self.allocated.iter().map(|it| format!("{} {}", it.quantity, it.location)))
    }
}

impl Payment {
    fn remark(&self) -> String {
        let declined = self.decline_code.as_ref().map(|code| format!("declined: {code}"));
        let by_hand = self.received_as.as_ref().map(|it| format!("received as {it}"));
        let matters = self.expired || !self.held.is_nothing();
        let expires = self.expires_at.filter(|_| matters).map(|at| {
            let verb = if self.expired { "expired" } else { "expires" };
            format!("{verb} {}", time(at))
        });
        declined.or(by_hand).or(expires).unwrap_or_default()
    }
}

impl Parcel {
    fn in_words(&self) -> String {
        let Self { carrier, tracking_number, tracking_url, events } = self;
        let news = events.last().map(|News { status, at }| format!(" {status} {}", time(*at)));
        let url = tracking_url.as_ref().map(|url| format!(" {url}"));
        format!("{carrier} {tracking_number}{}{}", maybe(news), maybe(url))
    }
}

/// A table below what was said before.
fn titled(header: &[&str]) -> Table {
    say("");
    table(header)
}

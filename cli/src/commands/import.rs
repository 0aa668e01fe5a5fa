//! `orderstore import`: takes a shop's history through the real write path.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono_tz::Tz;
use domain::ids::{Channel, CustomerRef};
use domain::money::{Currency, Money};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::import::country::code_of;
use crate::import::file::{Reading, open, parse};
use crate::import::sorting::{Document, Reason, Rejected, Sorted, is_charge, sort};
use crate::stores::Api;

/// Documents under way at the same time.
const AT_ONCE: usize = 8;
/// Items of one receipt of goods: few enough for one request to be short.
const ITEMS_PER_RECEIPT: usize = 200;

/// Reads invoice lines (CSV, plain or gzipped) with the columns `InvoiceNo`, `StockCode`, Description,
/// Quantity, `InvoiceDate`, `UnitPrice`, `CustomerID`, Country.
///
/// Every invoice becomes an order with its original date; its goods are received into stock first.
/// The orders were paid and delivered before they came here, so they take stock and are accounted
/// for, but no payment gateway and no carrier is called. An invoice number that begins with C is a
/// credit note and is kept as one. Rows that are no order are counted, with the reason. Importing
/// the same file again changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    /// Channel that the orders belong to
    #[arg(long, default_value = "online-retail")]
    channel: String,
    /// Currency of the prices
    #[arg(long, default_value = "GBP")]
    currency: Currency,
    /// Time zone of the dates
    #[arg(long, default_value = "Europe/London")]
    time_zone: Tz,
    /// Print the totals as one last line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: Api,
}

/// What was imported.
#[derive(Debug, Default)]
struct Totals {
    orders: u64,
    lines: u64,
    units: u64,
    gross: i128,
    cancelled_notes: u64,
    cancelled_rows: u64,
    cancelled: i128,
    rejected: BTreeMap<Reason, Rejected>,
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let channel = Channel::new(&self.channel).context("--channel")?;
        let reading = Reading { currency: self.currency, zone: self.time_zone };
        let (rows, malformed) = parse(open(&self.file)?, reading)?;
        let sorted = sort(rows, malformed);
        let client = self.api.client()?;
        let importer = Importer { client, channel, currency: self.currency };
        let totals = importer.import(sorted).await?;
        print_totals(&totals, self.currency);
        if totals.orders + totals.cancelled_notes == 0 {
            bail!("no row of {} is part of an order or a credit note", self.file.display());
        }
        let agree = importer.await_read_models(&totals).await;
        if self.json {
            println!("{}", totals_as_json(&totals, self.currency));
        }
        agree
    }
}

struct Importer {
    client: Client,
    channel: Channel,
    currency: Currency,
}

/// What came of one document.
enum Fate {
    Taken,
    Refused(String),
}

impl Importer {
    async fn import(&self, sorted: Sorted) -> anyhow::Result<Totals> {
        let rows = |documents: &[Document]| -> u64 {
            documents.iter().map(|it| it.rows.len() as u64).sum()
        };
        let bar = progress(rows(&sorted.invoices) + rows(&sorted.credit_notes));
        let mut totals = Totals { rejected: sorted.rejected, ..Totals::default() };
        let mut orders = stream::iter(sorted.invoices)
            .map(|document| async {
                let fate = self.place(&document).await?;
                anyhow::Ok((document, fate))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((document, fate)) = orders.try_next().await? {
            bar.inc(document.rows.len() as u64);
            match fate {
                Fate::Taken => totals.add_order(&document),
                Fate::Refused(why) => totals.refuse(&document, &why),
            }
        }
        drop(orders);
        let mut notes = stream::iter(sorted.credit_notes)
            .map(|document| async {
                let fate = self.credit(&document).await?;
                anyhow::Ok((document, fate))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((document, fate)) = notes.try_next().await? {
            bar.inc(document.rows.len() as u64);
            match fate {
                Fate::Taken => totals.add_credit_note(&document),
                Fate::Refused(why) => totals.refuse(&document, &why),
            }
        }
        bar.finish_and_clear();
        Ok(totals)
    }

    /// Receives the goods of an invoice into stock and places its order.
    async fn place(&self, document: &Document) -> anyhow::Result<Fate> {
        let mut goods: BTreeMap<&str, i64> = BTreeMap::new();
        for row in document.rows.iter().filter(|row| !is_charge(row.sku.as_str())) {
            *goods.entry(row.sku.as_str()).or_default() += row.quantity;
        }
        let items: Vec<_> = goods
            .into_iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        for items in items.chunks(ITEMS_PER_RECEIPT) {
            let input = json!({ "idempotencyKey": self.key(document), "items": items });
            let received = self.mutate("stockReceive", "StockReceiveInput", input).await?;
            if let Fate::Refused(why) = received {
                return Ok(Fate::Refused(why));
            }
        }
        let input = json!({
            "idempotencyKey": self.key(document),
            "channel": self.channel.as_str(),
            "customer": customer(document),
            "country": code_of(&document.rows[0].country).as_str(),
            "currencyCode": self.currency.code(),
            "lines": self.lines(document),
            "total": self.money(gross(document)),
            "imported": {
                "placedAt": document.rows[0].date.to_rfc3339(),
                "reference": document.number,
            },
        });
        self.mutate("orderPlace", "OrderPlaceInput", input).await
    }

    async fn credit(&self, document: &Document) -> anyhow::Result<Fate> {
        let input = json!({
            "idempotencyKey": self.key(document),
            "number": document.number,
            "channel": self.channel.as_str(),
            "customer": customer(document),
            "lines": self.lines(document),
            "total": self.money(-gross(document)),
            "issuedAt": document.rows[0].date.to_rfc3339(),
        });
        self.mutate("creditNoteIssue", "CreditNoteIssueInput", input).await
    }

    /// The same for the same document of the same channel, in whatever file it stands.
    fn key(&self, document: &Document) -> String {
        format!("import-{}-{}", self.channel, document.number)
    }

    fn lines(&self, document: &Document) -> Vec<Value> {
        let line = |row: &crate::import::file::Row| {
            json!({
                "sku": row.sku.as_str(),
                "title": row.title,
                "kind": if is_charge(row.sku.as_str()) { "CHARGE" } else { "GOODS" },
                "quantity": row.quantity.abs(),
                "unitPrice": self.money(i128::from(row.unit_price.minor)),
            })
        };
        document.rows.iter().map(line).collect()
    }

    fn money(&self, minor: i128) -> Value {
        json!({ "amount": decimal(minor, self.currency), "currencyCode": self.currency.code() })
    }

    async fn mutate(&self, field: &str, input_type: &str, input: Value) -> anyhow::Result<Fate> {
        let query = format!(
            "mutation($input: {input_type}!) {{ it: {field}(input: $input) {{ userErrors {{ code message field }} }} }}"
        );
        let answer: Value = self.client.run(&query, json!({ "input": input })).await?;
        let errors = answer.pointer("/it/userErrors").and_then(Value::as_array);
        match errors {
            Some(none) if none.is_empty() => Ok(Fate::Taken),
            Some(errors) => Ok(Fate::Refused(Value::Array(errors.clone()).to_string())),
            None => bail!("the API answered {field} with {answer}"),
        }
    }

    /// Waits until every order has reached its end, and compares what the read models say with what
    /// was imported. Gives up only when nothing moves for a minute.
    async fn await_read_models(&self, totals: &Totals) -> anyhow::Result<()> {
        let bar = progress(totals.orders).with_message("orders on their way");
        let (mut seen, mut since) = (0, tokio::time::Instant::now());
        loop {
            let now = self.read_models().await?;
            if now.completed != seen {
                (seen, since) = (now.completed, tokio::time::Instant::now());
            }
            bar.set_position(now.completed.min(totals.orders));
            let cancelled = -now.credited;
            if now.completed >= totals.orders
                && now.gross == totals.gross
                && cancelled == totals.cancelled
            {
                bar.finish_and_clear();
                eprintln!("The read models agree, to the {}.", smallest_unit(self.currency));
                return Ok(());
            }
            if since.elapsed() > Duration::from_mins(1) {
                bar.finish_and_clear();
                bail!(
                    "the read models do not agree: {} of {} orders completed, gross {} instead of {}, cancelled {} instead of {}; \
                     they may hold orders of channel {} that are not in this file",
                    now.completed,
                    totals.orders,
                    decimal(now.gross, self.currency),
                    decimal(totals.gross, self.currency),
                    decimal(cancelled, self.currency),
                    decimal(totals.cancelled, self.currency),
                    self.channel,
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn read_models(&self) -> anyhow::Result<ReadModels> {
        let query = "query($channel: String!) { salesTotals(channel: $channel) { \
            orders { status currencyCode orders gross { amount } } \
            creditNotes { currencyCode total { amount } } } }";
        let data: SalesTotalsData =
            self.client.run(query, json!({ "channel": self.channel.as_str() })).await?;
        let mut found = ReadModels::default();
        let minor =
            |amount: &str| Money::parse(amount, self.currency).map(|it| i128::from(it.minor));
        for row in data.totals.orders.iter().filter(|it| it.currency == self.currency.code()) {
            found.gross += minor(&row.gross.amount)?;
            if row.status == "COMPLETED" {
                found.completed += row.orders;
            }
        }
        for row in data.totals.credit_notes.iter().filter(|it| it.currency == self.currency.code())
        {
            found.credited += minor(&row.total.amount)?;
        }
        Ok(found)
    }
}

#[derive(Debug, Default)]
struct ReadModels {
    completed: u64,
    gross: i128,
    credited: i128,
}

#[derive(Debug, Deserialize)]
struct SalesTotalsData {
    #[serde(rename = "salesTotals")]
    totals: SalesTotals,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SalesTotals {
    orders: Vec<OrderTotals>,
    credit_notes: Vec<CreditTotals>,
}

#[derive(Debug, Deserialize)]
struct OrderTotals {
    status: String,
    #[serde(rename = "currencyCode")]
    currency: String,
    #[serde(deserialize_with = "count")]
    orders: u64,
    gross: Amount,
}

#[derive(Debug, Deserialize)]
struct CreditTotals {
    #[serde(rename = "currencyCode")]
    currency: String,
    total: Amount,
}

#[derive(Debug, Deserialize)]
struct Amount {
    amount: String,
}

/// Large numbers come as strings, small ones as numbers.
fn count<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_u64().or_else(|| value.as_str().and_then(|it| it.parse().ok()));
    number.ok_or_else(|| serde::de::Error::custom("not a count"))
}

impl Totals {
    fn add_order(&mut self, document: &Document) {
        self.orders += 1;
        self.lines += document.rows.len() as u64;
        self.units += document.rows.iter().map(|row| row.quantity.unsigned_abs()).sum::<u64>();
        self.gross += gross(document);
    }

    fn add_credit_note(&mut self, document: &Document) {
        self.cancelled_notes += 1;
        self.cancelled_rows += document.rows.len() as u64;
        self.cancelled += gross(document);
    }

    fn refuse(&mut self, document: &Document, why: &str) {
        let example = format!("{}: {why}", document.number);
        let rows = document.rows.len() as u64;
        self.rejected.entry(Reason::Refused).or_default().add(rows, gross(document), example);
    }
}

fn gross(document: &Document) -> i128 {
    document.rows.iter().map(crate::import::file::Row::gross).sum()
}

/// A reference that the order store accepts; anything else is a guest.
fn customer(document: &Document) -> Option<String> {
    let customer = document.rows[0].customer.as_ref()?;
    CustomerRef::new(customer).ok().map(String::from)
}

fn decimal(minor: i128, currency: Currency) -> String {
    let scale = 10_i128.pow(currency.exponent());
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, fraction) = (minor.abs() / scale, minor.abs() % scale);
    match currency.exponent() as usize {
        0 => format!("{sign}{whole}"),
        width => format!("{sign}{whole}.{fraction:0width$}"),
    }
}

fn smallest_unit(currency: Currency) -> &'static str {
    match currency.code() {
        "GBP" => "penny",
        "EUR" | "USD" => "cent",
        _ => "last unit",
    }
}

fn progress(total: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = "{bar:40} {pos}/{len}  {per_sec}  {eta} left  {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}

fn print_totals(totals: &Totals, currency: Currency) {
    let money = |minor| format!("{} {currency}", decimal(minor, currency));
    eprintln!(
        "{} orders, {} lines, {} units, {}",
        totals.orders,
        totals.lines,
        totals.units,
        money(totals.gross)
    );
    eprintln!(
        "{} credit notes, {} lines, {}",
        totals.cancelled_notes,
        totals.cancelled_rows,
        money(totals.cancelled)
    );
    for (reason, rejected) in &totals.rejected {
        eprintln!("{} rows, {}: {}", rejected.rows, money(rejected.gross), reason.explain());
        for example in &rejected.examples {
            eprintln!("    {example}");
        }
    }
}

fn totals_as_json(totals: &Totals, currency: Currency) -> Value {
    let rows: u64 = totals.rejected.values().map(|it| it.rows).sum();
    let gross: i128 = totals.rejected.values().map(|it| it.gross).sum();
    json!({
        "orders": totals.orders,
        "lines": totals.lines,
        "units": totals.units,
        "gross": decimal(totals.gross, currency),
        "cancelled": { "rows": totals.cancelled_rows, "gross": decimal(totals.cancelled, currency) },
        "rejected": { "rows": rows, "gross": decimal(gross, currency) },
    })
}

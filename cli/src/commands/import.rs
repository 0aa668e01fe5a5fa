//! `orderstore import`: takes a shop's history through the real write path.

mod read_back;

use anyhow::{Context as _, bail};
use chrono_tz::Tz;
use domain::ids::{Channel, CustomerRef};
use domain::money::Currency;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use crate::client::Client;
use crate::import::country::code_of;
use crate::import::file::{Reading, open, parse};
use crate::import::sorting::{Document, Reason, Rejected, Sorted, is_charge, sort};
use crate::output::say;
use crate::stores::Api;

use self::read_back::{Imported, ReadBack};

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
    imported: Imported,
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
        let agree = importer.read_back(&totals.imported).await;
        if self.json {
            say(totals_as_json(&totals, self.currency));
        }
        agree.context("the read models do not agree with what was imported")
    }
}

struct Importer {
    client: Client,
    channel: Channel,
    currency: Currency,
}

/// What came of one document.
enum Fate {
    /// It is in the store, under this id.
    Taken(String),
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
                Fate::Taken(id) => totals.add_order(id, &document),
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
                Fate::Taken(id) => totals.add_credit_note(id, &document),
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
            let received =
                self.mutate("stockReceive", "StockReceiveInput", "position", input).await?;
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
        self.mutate("orderPlace", "OrderPlaceInput", "document: order { id }", input).await
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
        let document = "document: creditNote { id }";
        self.mutate("creditNoteIssue", "CreditNoteIssueInput", document, input).await
    }

    async fn read_back(&self, imported: &Imported) -> anyhow::Result<()> {
        let bar = progress(imported.orders.len() as u64).with_message("orders on their way");
        let Self { client, channel, currency } = self;
        let compared =
            ReadBack { client, channel, currency: *currency }.compare(imported, &bar).await;
        bar.finish_and_clear();
        compared?;
        eprintln!("The read models agree, to the {}.", smallest_unit(self.currency));
        Ok(())
    }

    /// The same for the same document of the same channel, in whatever file it stands.
    fn key(&self, document: &Document) -> String {
        // No channel has a colon in its name, so no two documents share a key.
        format!("import:{}:{}", self.channel, document.number)
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

    async fn mutate(
        &self,
        field: &str,
        input_type: &str,
        wanted: &str,
        input: Value,
    ) -> anyhow::Result<Fate> {
        let query = format!(
            "mutation($input: {input_type}!) {{ it: {field}(input: $input) {{ {wanted} userErrors {{ code message field }} }} }}"
        );
        let answer: Value = self.client.run(&query, json!({ "input": input })).await?;
        match answer.pointer("/it/userErrors").and_then(Value::as_array) {
            Some(none) if none.is_empty() => {
                let id = answer.pointer("/it/document/id").and_then(Value::as_str);
                Ok(Fate::Taken(id.unwrap_or_default().to_owned()))
            }
            Some(errors) => Ok(Fate::Refused(Value::Array(errors.clone()).to_string())),
            None => bail!("the API answered {field} with {answer}"),
        }
    }
}

impl Totals {
    fn add_order(&mut self, id: String, document: &Document) {
        let date = document.rows[0].date;
        let (first, last) = self.imported.placed.unwrap_or((date, date));
        self.imported.placed = Some((first.min(date), last.max(date)));
        self.imported.orders.insert(id, gross(document));
        self.orders += 1;
        self.lines += document.rows.len() as u64;
        self.units += document.rows.iter().map(|row| row.quantity.unsigned_abs()).sum::<u64>();
        self.gross += gross(document);
    }

    fn add_credit_note(&mut self, id: String, document: &Document) {
        self.imported.credit_notes.insert(id, -gross(document));
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
    let template = "{bar:40} {pos}/{len}  {rate}/s  {eta} left  {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style.with_key("rate", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // Writing to the bar's own buffer does not fail.
        let _ = write!(text, "{:.0}", state.per_sec());
    });
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

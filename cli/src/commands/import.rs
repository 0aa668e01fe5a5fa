//! `orderstore import`: takes a shop's history through the real write path.

mod read_back;
mod totals;
mod writing;

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono_tz::Tz;
use domain::ids::Channel;
use domain::money::Currency;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use self::read_back::ReadBack;
use self::totals::{Totals, gross};
use self::writing::{Fate, Importer};
use crate::import::file::{Reading, open, parse};
use crate::import::matching::{Credited, Matched, Returned, undo};
use crate::import::sorting::{Document, Sorted, sort};
use crate::output::say;
use crate::stores::Api;

/// Documents under way at the same time.
const AT_ONCE: usize = 8;

/// Reads invoice lines (CSV, plain or gzipped) with the columns `InvoiceNo`, `StockCode`, Description,
/// Quantity, `InvoiceDate`, `UnitPrice`, `CustomerID`, Country.
///
/// Every invoice becomes an order with its original date; its goods are received into stock first.
/// The orders were paid and delivered before they came here, so they take stock and are accounted
/// for, but no payment gateway and no carrier is called. An invoice number that begins with C is a
/// credit note: its rows become returns with refunds of earlier orders of the same customer, with the
/// same article at the same price; what no such order is found for stays a credit note. Rows that
/// are no order are counted, with the reason. Importing the same file again changes nothing.
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

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let channel = Channel::new(&self.channel).context("--channel")?;
        let reading = Reading { currency: self.currency, zone: self.time_zone };
        let (rows, malformed) = parse(open(&self.file)?, reading)?;
        let sorted = sort(rows, malformed);
        let client = self.api.client()?;
        let importer = Importer { client, channel, currency: self.currency };
        let totals = importer.import(sorted).await?;
        totals.print(self.currency);
        if totals.is_nothing() {
            bail!("no row of {} is part of an order or a credit note", self.file.display());
        }
        let agree = importer.read_back(&totals).await;
        if self.json {
            say(totals.as_json(self.currency));
        }
        agree.context("the read models do not agree with what was imported")
    }
}

/// Orders that are in the store: their ids by the numbers of their invoices.
type Placed = HashMap<String, (String, Document)>;

impl Importer {
    async fn import(&self, sorted: Sorted) -> anyhow::Result<Totals> {
        let Sorted { invoices, credit_notes, rejected } = sorted;
        let mut totals = Totals::new(rejected);
        let placed = self.place_all(invoices, &mut totals).await?;
        if !credit_notes.is_empty() {
            self.until_delivered(&totals).await?;
        }
        let orders: Vec<_> = placed.values().map(|(_, document)| document).collect();
        let matched = undo(orders, credit_notes);
        let Matched { returned, credited } = self.not_otherwise(matched, &mut totals).await?;
        self.take_all_back(&placed, returned, &mut totals).await?;
        self.credit_all(credited, &mut totals).await?;
        Ok(totals)
    }

    /// Leaves out notes that were issued before over another amount, when less of the orders that
    /// they undo was known: nothing is to be given back twice.
    async fn not_otherwise(
        &self,
        matched: Matched,
        totals: &mut Totals,
    ) -> anyhow::Result<Matched> {
        let mut otherwise = self.reading().issued().await?;
        for Credited { document, .. } in &matched.credited {
            if otherwise.get(&document.number) == Some(&-gross(document)) {
                otherwise.remove(&document.number);
            }
        }
        let Matched { mut returned, mut credited } = matched;
        let why = "was issued before, over another amount";
        returned.retain(|Returned { note, rows, gross, .. }| {
            let stays = !otherwise.contains_key(note);
            if !stays {
                totals.refuse(note, *rows, *gross, why);
            }
            stays
        });
        credited.retain(|Credited { document, rows }| {
            let stays = !otherwise.contains_key(&document.number);
            if !stays {
                totals.refuse(&document.number, *rows, gross(document), why);
            }
            stays
        });
        Ok(Matched { returned, credited })
    }

    async fn place_all(
        &self,
        invoices: Vec<Document>,
        totals: &mut Totals,
    ) -> anyhow::Result<Placed> {
        let bar = progress(invoices.iter().map(|it| it.rows.len() as u64).sum());
        let mut placed = Placed::new();
        let mut orders = stream::iter(invoices)
            .map(|document| async {
                let fate = self.place(&document).await?;
                anyhow::Ok((document, fate))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((document, fate)) = orders.try_next().await? {
            bar.inc(document.rows.len() as u64);
            match fate {
                Fate::Taken(id) => {
                    totals.add_order(id.clone(), &document);
                    placed.insert(document.number.clone(), (id, document));
                }
                Fate::Refused(why) => totals.refuse(
                    &document.number,
                    document.rows.len() as u64,
                    gross(&document),
                    &why,
                ),
            }
        }
        bar.finish_and_clear();
        Ok(placed)
    }

    async fn take_all_back(
        &self,
        placed: &Placed,
        all: Vec<Returned>,
        totals: &mut Totals,
    ) -> anyhow::Result<()> {
        let bar = progress(all.len() as u64).with_message("returns");
        let mut returns = stream::iter(all)
            .map(|returned| async {
                let (order, invoice) = placed.get(&returned.invoice).context("an unknown order")?;
                let fate = self.take_back(order, invoice, &returned).await?;
                anyhow::Ok((order, returned, fate))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((order, returned, fate)) = returns.try_next().await? {
            bar.inc(1);
            let Returned { note, rows, gross, .. } = &returned;
            match fate {
                Fate::Taken(_) => totals.add_return(order, &returned),
                Fate::Refused(why) => totals.refuse(note, *rows, *gross, &why),
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn credit_all(&self, all: Vec<Credited>, totals: &mut Totals) -> anyhow::Result<()> {
        let bar = progress(all.len() as u64).with_message("credit notes");
        let mut notes = stream::iter(all)
            .map(|credited| async {
                let fate = self.credit(&credited.document).await?;
                anyhow::Ok((credited, fate))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((credited, fate)) = notes.try_next().await? {
            bar.inc(1);
            let Credited { document, rows } = &credited;
            match fate {
                Fate::Taken(id) => totals.add_credit_note(id, &credited),
                Fate::Refused(why) => {
                    totals.refuse(&document.number, *rows, gross(document), &why);
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Goods can come back once they were delivered.
    async fn until_delivered(&self, totals: &Totals) -> anyhow::Result<()> {
        let bar = progress(totals.imported.orders.len() as u64).with_message("orders on their way");
        let delivered = self.reading().delivered(&totals.imported, &bar).await;
        bar.finish_and_clear();
        delivered.context("the imported orders were not all delivered")
    }

    async fn read_back(&self, totals: &Totals) -> anyhow::Result<()> {
        let bar = progress(totals.imported.orders.len() as u64).with_message("orders read back");
        let compared = self.reading().compare(&totals.imported, &bar).await;
        bar.finish_and_clear();
        compared?;
        eprintln!("The read models agree, to the {}.", smallest_unit(self.currency));
        Ok(())
    }

    const fn reading(&self) -> ReadBack<'_> {
        let Self { client, channel, currency } = self;
        ReadBack { client, channel, currency: *currency }
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

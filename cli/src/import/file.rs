//! The file: CSV, plain or gzipped, one row per invoice line.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use csv::StringRecord;
use domain::ids::Sku;
use domain::money::{Currency, Money};
use flate2::read::MultiGzDecoder;

/// Columns that a file must have, in any order.
const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// One row that could be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) invoice: String,
    pub(crate) sku: Sku,
    pub(crate) title: String,
    /// Below zero on credit notes and write-offs; never zero.
    pub(crate) quantity: i64,
    pub(crate) date: DateTime<Utc>,
    pub(crate) unit_price: Money,
    pub(crate) customer: Option<String>,
    pub(crate) country: String,
}

impl Row {
    /// Quantity times price, in minor units.
    pub(crate) fn gross(&self) -> i128 {
        i128::from(self.quantity) * i128::from(self.unit_price.minor)
    }
}

/// A row that could not be read, and the field that is why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Malformed {
    /// Line of the file, from 1.
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// How the file is to be understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) currency: Currency,
    pub(crate) zone: Tz,
}

/// Opens `path`, gzipped or not, whatever its name says.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    let describe = || format!("cannot read {}", path.display());
    let mut magic = [0_u8; 2];
    let mut file = File::open(path).with_context(describe)?;
    let is_gzip = file.read(&mut magic).with_context(describe)? == 2 && magic == [0x1f, 0x8b];
    let file = BufReader::new(File::open(path).with_context(describe)?);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Parses all rows. A row that cannot be read does not keep the others from being read.
pub(crate) fn parse(
    from: impl Read,
    reading: Reading,
) -> anyhow::Result<(Vec<Row>, Vec<Malformed>)> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(from);
    let header = reader.headers().context("the file has no header line")?.clone();
    let columns = find_columns(&header)?;
    let (mut rows, mut malformed) = (Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok((rows, malformed)),
            Ok(true) => match parse_row(&record, &columns, reading) {
                Ok(row) => rows.push(row),
                Err(reason) => malformed.push(Malformed { line, reason }),
            },
            Err(error) if error.is_io_error() => return Err(error).context("cannot read on"),
            Err(error) => malformed.push(Malformed { line, reason: error.to_string() }),
        }
    }
}

fn find_columns(header: &StringRecord) -> anyhow::Result<[usize; 8]> {
    let mut found = [0; 8];
    for (place, name) in found.iter_mut().zip(COLUMNS) {
        let trimmed = |it: &str| it.trim_start_matches('\u{feff}').trim() == name;
        *place = header.iter().position(trimmed).with_context(|| {
            format!("the file has no column {name}; it needs {}", COLUMNS.join(", "))
        })?;
    }
    Ok(found)
}

fn parse_row(record: &StringRecord, columns: &[usize; 8], reading: Reading) -> Result<Row, String> {
    let field = |index: usize| -> Result<&str, String> {
        let text =
            record.get(columns[index]).ok_or_else(|| format!("{} is missing", COLUMNS[index]))?;
        Ok(text.trim())
    };
    let say =
        |index: usize| move |error: &dyn std::fmt::Display| format!("{}: {error}", COLUMNS[index]);
    let invoice = field(0)?.to_uppercase();
    if invoice.is_empty() {
        return Err("InvoiceNo is empty".to_owned());
    }
    // The same article is written 85123A and 85123a.
    let sku = Sku::new(field(1)?.to_uppercase().replace(' ', "-")).map_err(|e| say(1)(&e))?;
    let quantity: i64 = field(3)?
        .parse()
        .map_err(|_| format!("Quantity: `{}` is no whole number", field(3).unwrap_or("")))?;
    if quantity == 0 {
        return Err("Quantity: is zero".to_owned());
    }
    let date = parse_date(field(4)?, reading.zone).map_err(|e| say(4)(&e))?;
    let unit_price = Money::parse(field(5)?, reading.currency).map_err(|e| say(5)(&e))?;
    let customer = Some(field(6)?).filter(|it| !it.is_empty()).map(str::to_owned);
    Ok(Row {
        invoice,
        sku,
        title: field(2)?.chars().take(200).collect(),
        quantity,
        date,
        unit_price,
        customer,
        country: field(7)?.to_owned(),
    })
}

fn parse_date(text: &str, zone: Tz) -> Result<DateTime<Utc>, String> {
    let local: NaiveDateTime =
        text.parse().map_err(|_| format!("`{text}` is no date such as 2010-12-01T08:26:00"))?;
    // A time that the clocks passed twice is taken as the first, one they skipped as an hour later.
    let later = local + chrono::TimeDelta::hours(1);
    let moment = zone.from_local_datetime(&local).earliest();
    let moment = moment.or_else(|| zone.from_local_datetime(&later).earliest());
    moment
        .map(|it| it.with_timezone(&Utc))
        .ok_or_else(|| format!("`{text}` does not exist in {zone}"))
}

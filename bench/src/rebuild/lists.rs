//! Lists of orders as they are, and as they were known at some time: a page each.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use projector::read_model::{Error, OrderFilter, OrderQuery, OrderSort, OrderStatus, Reader};
use sqlx::{Connection as _, PgConnection};

/// The shortest of so many times is told: the first one may have to fetch pages from the disk.
const TIMES: usize = 3;
/// After which part of the history, in percent.
const WHEN: [u8; 4] = [1, 50, 99, 100];

/// Times pages of `database`, whose read models have just been built.
pub(super) async fn run(database: &str) -> anyhow::Result<()> {
    let moments = moments(database).await?;
    let reader = Reader::connect_lazy(database)?;
    println!("a page of 50 orders in ms, as they are, and as they were after so much of the time");
    let columns = WHEN.map(|percent| format!("{:>10}", format!("{percent} %")));
    println!("  {:<28}{:>10}{}", "", "now", columns.concat());
    for (order, sort) in [
        ("latest placed", OrderSort::PlacedAt),
        ("latest changed", OrderSort::UpdatedAt),
        ("most expensive", OrderSort::Total),
    ] {
        for (which, status) in [("", vec![]), (", cancelled", vec![OrderStatus::Cancelled])] {
            let filter = OrderFilter { status, ..OrderFilter::default() };
            let query = OrderQuery { filter, sort, ..OrderQuery::default() };
            let mut line = shown(page(&reader, &query, None).await?);
            for moment in &moments {
                line += &shown(page(&reader, &query, Some(*moment)).await?);
            }
            println!("  {:<28}{line}", format!("{order}{which}"));
        }
    }
    Ok(())
}

/// When so much of the time from the first to the last event of an order had passed.
async fn moments(database: &str) -> anyhow::Result<Vec<DateTime<Utc>>> {
    const SPAN: &str = "select min(recorded_at), max(recorded_at) from read_model.order_timeline";
    let mut connection = PgConnection::connect(database).await?;
    let (first, last): (DateTime<Utc>, DateTime<Utc>) =
        sqlx::query_as(SPAN).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(WHEN.map(|percent| first + (last - first) / 100 * i32::from(percent)).to_vec())
}

/// How long it takes; nothing if that is too long for the store.
async fn page(
    reader: &Reader,
    query: &OrderQuery,
    as_of: Option<DateTime<Utc>>,
) -> anyhow::Result<Option<Duration>> {
    let mut shortest = Duration::MAX;
    for _ in 0..TIMES {
        let started = Instant::now();
        let found = match as_of {
            None => reader.orders(query).await.map(|page| page.len()),
            Some(as_of) => reader.orders_then(query, as_of).await.map(|page| page.len()),
        };
        match found {
            Ok(_) => shortest = shortest.min(started.elapsed()),
            Err(Error::TooBroad) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(shortest))
}

fn shown(took: Option<Duration>) -> String {
    match took {
        Some(took) => format!("{:>10.1}", took.as_secs_f64() * 1e3),
        None => format!("{:>10}", "refused"),
    }
}

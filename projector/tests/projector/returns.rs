//! Returns in the read model, against what the domain makes of the same events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::order::{Disposition, OrderEvent, ReturnBook, ReturnProgress, ReturnReason};
use projector::read_model::{Cursor, ListedReturn, Reader, ReturnQuery, ReturnRow};
use uuid::Uuid;

use crate::history::at;
use crate::lives::Life;
use crate::orders::lived;

/// When each event of an order is recorded (see `World::append`).
fn recorded(revision: usize) -> DateTime<Utc> {
    at(i64::try_from(revision).unwrap())
}

/// When the last event of a life that `is` so was recorded.
fn last(life: &Life, is: impl Fn(&OrderEvent) -> bool) -> Option<DateTime<Utc>> {
    life.events.iter().rposition(is).map(recorded)
}

fn row_of(life: &Life, id: Uuid, book: &ReturnBook) -> ReturnRow {
    let units = |wanted: Disposition| -> i64 {
        book.received.iter().filter(|it| it.2 == wanted).map(|it| i64::from(it.1)).sum()
    };
    let decided = |event: &OrderEvent| {
        matches!(event, OrderEvent::ReturnApproved(it) if it.return_id.0 == id)
            || matches!(event, OrderEvent::ReturnDeclined(it) if it.return_id.0 == id)
    };
    ReturnRow {
        order_id: life.id.0,
        id,
        status: book.status,
        reason: book.reason,
        units_requested: book.lines.iter().map(|it| i64::from(it.quantity)).sum(),
        units_received: units(Disposition::Restocked) + units(Disposition::WrittenOff),
        units_restocked: units(Disposition::Restocked),
        units_written_off: units(Disposition::WrittenOff),
        units_missing: units(Disposition::Missing),
        requested_at: last(
            life,
            |event| matches!(event, OrderEvent::ReturnRequested(it) if it.return_id.0 == id),
        )
        .unwrap(),
        decided_at: last(life, decided),
        received_at: last(
            life,
            |event| matches!(event, OrderEvent::ReturnReceived(it) if it.return_id.0 == id),
        ),
        closed_at: last(
            life,
            |event| matches!(event, OrderEvent::ReturnClosed(it) if it.return_id.0 == id),
        ),
    }
}

fn rows_of(lives: &[Life]) -> BTreeMap<(Uuid, Uuid), ReturnRow> {
    let mut rows = BTreeMap::new();
    for life in lives {
        for (id, book) in &life.order().returns {
            rows.insert((life.id.0, id.0), row_of(life, id.0, book));
        }
    }
    rows
}

async fn pages(reader: &Reader, query: ReturnQuery) -> Vec<ListedReturn> {
    let (mut all, mut query) = (vec![], query);
    loop {
        let page = reader.returns(&query).await.unwrap();
        let Some(last) = page.last() else { return all };
        query.after = Some(Cursor::of_return(&last.row).to_string().parse().unwrap());
        all.extend(page);
    }
}

#[tokio::test]
async fn returns_say_what_became_of_the_goods_and_when() {
    let (_world, reader, lives) = lived(80).await;
    let wanted = rows_of(&lives);
    assert!(wanted.len() > 10, "{}", wanted.len());
    assert!(wanted.values().any(|row| row.closed_at.is_some() && row.received_at.is_some()));
    let rows = pages(&reader, ReturnQuery { limit: 3, ..ReturnQuery::default() }).await;
    let key = |listed: &ListedReturn| (listed.row.requested_at, listed.row.id);
    assert!(rows.is_sorted_by(|one, other| key(one) > key(other)), "each once, the latest first");
    assert!(rows.iter().all(|listed| !listed.quarantined));
    let rows: BTreeMap<_, _> =
        rows.into_iter().map(|listed| ((listed.row.order_id, listed.row.id), listed.row)).collect();
    assert_eq!(rows, wanted);
}

#[tokio::test]
async fn returns_are_found_by_how_far_they_are_and_whose_they_are() {
    let (_world, reader, lives) = lived(80).await;
    let all = rows_of(&lives);
    let orders: BTreeMap<_, _> = lives.iter().map(|life| (life.id.0, life.order())).collect();
    let check = async |query: ReturnQuery, passes: &dyn Fn(&ReturnRow) -> bool| {
        let found = pages(&reader, ReturnQuery { limit: 4, ..query.clone() }).await;
        let mut found: Vec<_> = found.into_iter().map(|listed| listed.row).collect();
        found.sort_by_key(|row| (row.order_id, row.id));
        let wanted: Vec<_> = all.values().filter(|row| passes(row)).cloned().collect();
        assert_eq!(found, wanted, "{query:?}");
        wanted.len()
    };
    let default = ReturnQuery::default;
    let mut found = 0;
    for status in [ReturnProgress::Requested, ReturnProgress::Received, ReturnProgress::Closed] {
        let query = ReturnQuery { status: vec![status], descending: false, ..default() };
        found += check(query, &|row| row.status == status).await;
    }
    let status = vec![ReturnProgress::Approved, ReturnProgress::Declined];
    let query = ReturnQuery { status: status.clone(), ..default() };
    found += check(query, &|row| status.contains(&row.status)).await;
    assert_eq!(found, all.len());
    let query = ReturnQuery { reason: vec![ReturnReason::Damaged], ..default() };
    check(query, &|row| row.reason == ReturnReason::Damaged).await;
    let order = all.values().next().unwrap().order_id;
    let query = ReturnQuery { order: Some(order), ..default() };
    assert!(check(query, &|row| row.order_id == order).await > 0);
    let query = ReturnQuery { channel: Some("till".to_owned()), ..default() };
    check(query, &|row| orders[&row.order_id].details.channel.as_str() == "till").await;
    for customer in ["c-0", "c-1", "c-2"] {
        let query = ReturnQuery { customer: Some(customer.to_owned()), ..default() };
        let is = |row: &ReturnRow| {
            orders[&row.order_id].customer.as_ref().map(domain::ids::CustomerRef::as_str)
        };
        check(query, &|row| is(row) == Some(customer)).await;
    }
    let (from, to) = (at(10), at(30));
    let range = ReturnQuery { requested_from: Some(from), requested_to: Some(to), ..default() };
    check(range, &|row| row.requested_at >= from && row.requested_at < to).await;
}

//! Queries, pages, sums, waiting, and reading without a database.

use std::collections::HashSet;
use std::time::Duration;

use projector::read_model::{
    CreditTotalsFilter, Cursor, Error, OrderFilter, OrderQuery, OrderRow, OrderSort, OrderStatus,
    ProcessKind, ProcessQuery, ProcessSort, ProcessStatus, ProjectionName, Reached, Reader,
    SalesFilter, StockQuery,
};
use projector::{Options, Projector};

use crate::history::{at, order_stream, placed};
use crate::world::{DEADLINE, World, eventually, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;

async fn traded(orders: u32) -> (World, Reader) {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..orders).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let reader = world.reader();
    (world, reader)
}

async fn pages(reader: &Reader, query: &OrderQuery) -> Vec<OrderRow> {
    let mut all = vec![];
    let mut query = query.clone();
    loop {
        let page = reader.orders(&query).await.unwrap();
        assert!(page.len() <= query.limit as usize);
        let Some(last) = page.last() else { return all };
        // Through its text, as a client would.
        let cursor = Cursor::of_order(last, query.sort).to_string();
        query.after = Some(cursor.parse().unwrap());
        all.extend(page);
    }
}

fn key(row: &OrderRow, sort: OrderSort) -> (i64, uuid::Uuid) {
    match sort {
        OrderSort::PlacedAt => (row.placed_at.timestamp_micros(), row.id),
        OrderSort::UpdatedAt => (row.updated_at.timestamp_micros(), row.id),
        OrderSort::Total => (row.total_minor, row.id),
    }
}

#[tokio::test]
async fn pages_show_every_order_once_in_order_whatever_they_are_sorted_by() {
    let (_world, reader) = traded(40).await;
    let filters = [
        OrderFilter::default(),
        OrderFilter { channel: Some("web".to_owned()), ..OrderFilter::default() },
        OrderFilter { status: vec![OrderStatus::Pending], ..OrderFilter::default() },
    ];
    for sort in [OrderSort::PlacedAt, OrderSort::UpdatedAt, OrderSort::Total] {
        for descending in [false, true] {
            for filter in &filters {
                let query = |limit| OrderQuery {
                    filter: filter.clone(),
                    sort,
                    descending,
                    after: None,
                    limit,
                };
                let whole = reader.orders(&query(1_000)).await.unwrap();
                assert!(whole.len() >= 20, "{filter:?}");
                let keys: Vec<_> = whole.iter().map(|row| key(row, sort)).collect();
                let in_order = if descending {
                    keys.is_sorted_by(|a, b| a > b)
                } else {
                    keys.is_sorted_by(|a, b| a < b)
                };
                assert!(in_order, "{sort:?} {descending}");
                for limit in [1, 3, 7, 39] {
                    assert_eq!(pages(&reader, &query(limit)).await, whole, "{sort:?} by {limit}");
                }
            }
        }
    }
}

#[tokio::test]
async fn lists_of_processes_and_credit_notes_are_read_from_an_index() {
    let (world, _reader) = traded(4).await;
    let mut connection = world.connection().await;
    let explain = [
        "explain select id from read_model.fulfilments \
         where (started_at, id) < (now(), $1) \
         order by started_at desc, id desc limit 5",
        "explain select id from read_model.credit_notes where (issued_at, id) < (now(), $1) \
         order by issued_at desc, id desc limit 5",
    ];
    sqlx::query("set enable_seqscan = off").execute(&mut connection).await.unwrap();
    for statement in explain {
        let plan: Vec<String> = sqlx::query_scalar(statement)
            .bind(uuid::Uuid::nil())
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("Index") && !plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_sorting_is_refused() {
    let (_world, reader) = traded(4).await;
    let query = OrderQuery { limit: 1, ..OrderQuery::default() };
    let [row] = reader.orders(&query).await.unwrap().try_into().unwrap();
    let after = Some(Cursor::of_order(&row, OrderSort::Total));
    let refused = reader.orders(&OrderQuery { after, ..query }).await;
    assert!(matches!(refused, Err(Error::ForeignCursor)));
}

#[tokio::test]
async fn filters_let_pass_what_they_say() {
    let (_world, reader) = traded(40).await;
    let all = reader.orders(&OrderQuery { limit: 100, ..OrderQuery::default() }).await.unwrap();
    let check = async |filter: OrderFilter, passes: &dyn Fn(&OrderRow) -> bool| {
        let query = OrderQuery { filter, limit: 100, ..OrderQuery::default() };
        let found = reader.orders(&query).await.unwrap();
        let wanted: Vec<_> = all.iter().filter(|row| passes(row)).cloned().collect();
        assert!(!wanted.is_empty() && wanted.len() < all.len());
        assert_eq!(found, wanted, "{query:?}");
    };
    let none = OrderFilter::default;
    let customer = Some("c-3".to_owned());
    check(OrderFilter { customer, ..none() }, &|row| row.customer.as_deref() == Some("c-3")).await;
    let status = vec![OrderStatus::Cancelled, OrderStatus::Completed];
    check(OrderFilter { status, ..none() }, &|row| row.status != OrderStatus::Pending).await;
    let (from, to) = (at(3), at(7));
    check(OrderFilter { placed_from: Some(from), ..none() }, &|row| row.placed_at >= from).await;
    check(OrderFilter { placed_to: Some(to), ..none() }, &|row| row.placed_at < to).await;
    let channel = Some("till".to_owned());
    let both = OrderFilter { channel, placed_to: Some(to), ..none() };
    check(both, &|row| row.channel == "till" && row.placed_at < to).await;
}

#[tokio::test]
async fn sums_are_those_of_the_rows() {
    let (_world, reader) = traded(40).await;
    let all = reader.orders(&OrderQuery { limit: 100, ..OrderQuery::default() }).await.unwrap();
    for channel in [None, Some("till".to_owned())] {
        let filter = SalesFilter { channel: channel.clone(), ..SalesFilter::default() };
        let totals = reader.sales_totals(&filter).await.unwrap();
        assert_eq!(totals.len(), 3, "pending, completed and cancelled orders");
        for total in totals {
            let rows: Vec<_> = all
                .iter()
                .filter(|row| row.status == total.status)
                .filter(|row| channel.as_ref().is_none_or(|channel| row.channel == *channel))
                .collect();
            assert_eq!(total.currency, "GBP");
            assert_eq!(total.orders, i64::try_from(rows.len()).unwrap());
            assert_eq!(total.lines, rows.iter().map(|row| row.line_count).sum::<i64>());
            assert_eq!(total.units, rows.iter().map(|row| row.unit_count).sum::<i64>());
            assert_eq!(total.gross_minor, rows.iter().map(|row| row.total_minor).sum::<i64>());
            let current = rows.iter().map(|row| row.current_total_minor).sum::<i64>();
            assert_eq!(total.cancelled_minor, total.gross_minor - current);
        }
    }
    let notes = reader.credit_notes(None, 100).await.unwrap();
    let [total] =
        reader.credit_totals(&CreditTotalsFilter::default()).await.unwrap().try_into().unwrap();
    assert_eq!((total.notes, total.lines), (10, 20));
    assert_eq!(total.units, notes.iter().map(|note| note.unit_count).sum::<i64>());
    assert_eq!(total.total_minor, notes.iter().map(|note| note.total_minor).sum::<i64>());
}

#[tokio::test]
async fn pages_of_the_other_lists_show_every_row_once() {
    let (_world, reader) = traded(40).await;
    let mut seen = HashSet::new();
    let mut query = ProcessQuery { limit: 3, ..ProcessQuery::default() };
    loop {
        let page = reader.processes(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(Cursor::of_process(last));
        assert!(page.iter().all(|process| seen.insert(process.order_id)));
    }
    assert_eq!(seen.len(), 20);
    let status = vec![ProcessStatus::Parked, ProcessStatus::Waiting];
    let of_status = ProcessQuery { status, limit: 100, ..ProcessQuery::default() };
    let parked = reader.processes(&of_status).await.unwrap();
    assert_eq!(parked.len(), 10);
    let kind = vec![ProcessKind::Delivery, ProcessKind::Refund];
    let others = ProcessQuery { kind, ..ProcessQuery::default() };
    assert!(reader.processes(&others).await.unwrap().is_empty());
    let (order, kind) = (Some(parked[0].order_id), vec![ProcessKind::Acceptance]);
    let of_order = ProcessQuery { kind, order, ..ProcessQuery::default() };
    assert_eq!(reader.processes(&of_order).await.unwrap(), parked[..1]);

    let by_deadline =
        ProcessQuery { sort: ProcessSort::NextDeadlineAt, limit: 3, ..ProcessQuery::default() };
    let (mut waiting, mut query) = (vec![], by_deadline.clone());
    loop {
        let page = reader.processes(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Cursor::of_process_by_deadline(last);
        waiting.extend(page.into_iter().map(|process| (process.next_deadline_at, process.id)));
    }
    assert!(waiting.is_sorted_by(|one, other| one < other) && waiting.len() == 10, "{waiting:?}");
    assert!(waiting.iter().all(|(deadline, _)| *deadline == Some(at(1_800))));
    for (second, due) in [(1_800, 0), (1_801, 10)] {
        let query =
            ProcessQuery { due_before: Some(at(second)), limit: 100, ..by_deadline.clone() };
        assert_eq!(reader.processes(&query).await.unwrap().len(), due);
    }

    let (mut seen, mut after) = (HashSet::new(), None);
    loop {
        let page = reader.credit_notes(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Cursor::of_credit_note(last));
        assert!(page.iter().all(|note| seen.insert(note.id)));
    }
    assert_eq!(seen.len(), 10);

    let mut skus = vec![];
    let mut query = StockQuery { limit: 3, ..StockQuery::default() };
    loop {
        let page = reader.stock(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(last.sku.clone());
        skus.extend(page.into_iter().map(|row| row.sku));
    }
    assert!(skus.len() == 20 && skus.is_sorted(), "{skus:?}");
    let query = StockQuery { prefix: Some("SKU-1".to_owned()), ..StockQuery::default() };
    assert_eq!(reader.stock(&query).await.unwrap().len(), 10);
}

#[tokio::test]
async fn whoever_waits_for_a_position_reads_what_was_written_there() {
    let world = World::open().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let reader = world.reader();
    for number in 0..20 {
        let position = world.append(&order_stream(number), &[placed(number)]).await;
        let reached = reader.wait_for(ORDERS, position, DEADLINE).await.unwrap();
        assert!(reached.is_there() && reached.position() >= position);
        let order = reader.order(crate::history::order_id(number).0).await.unwrap();
        assert!(order.is_some(), "order {number}");
    }
}

#[tokio::test]
async fn waiting_also_ends_for_a_projection_that_the_event_is_not_for() {
    let world = World::open().await;
    // Nothing but being asked makes its worker look.
    let options = Options { heartbeat: DEADLINE * 10, ..World::options() };
    let _projector = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    let reader = world.reader();
    let is_ready = || async { reader.ready().await.is_ok() };
    eventually("set up", is_ready, |ready| *ready).await;
    for number in 0..3 {
        let position = world.append(&order_stream(number), &[placed(number)]).await;
        for name in ProjectionName::ALL {
            let reached = reader.wait_for(name, position, DEADLINE).await.unwrap();
            assert!(reached.is_there(), "{name}");
        }
    }
}

#[tokio::test]
async fn waiting_is_bounded_and_says_how_far_it_is() {
    let world = World::open().await;
    world.open_to_readers().await;
    let start = world.reader().freshness(ORDERS).await.unwrap().position;
    let position = world.append(&order_stream(1), &[placed(1)]).await;
    let limit = Duration::from_millis(20);
    let reached = world.reader().wait_for(ORDERS, position, limit).await.unwrap();
    assert_eq!(reached, Reached::NotYet(start));
}

#[tokio::test]
async fn a_database_that_is_not_set_up_is_not_ready() {
    let world = World::open().await;
    let reader = world.reader();
    let refused = reader.orders(&OrderQuery::default()).await;
    assert!(matches!(refused, Err(Error::NotReady(_))), "{refused:?}");
    let refused = reader.ready().await.unwrap_err();
    assert!(matches!(refused, Error::NotReady(_)) && refused.is_transient(), "{refused:?}");
    projector::migrate(&world.url).await.unwrap();
    let refused = reader.ready().await.unwrap_err();
    assert!(matches!(refused, Error::NotReady(_)), "nobody has looked into the log: {refused:?}");
    world.open_to_readers().await;
    reader.ready().await.unwrap();
}

#[tokio::test]
async fn without_a_database_reads_are_unavailable_and_come_back_with_it() {
    let world = World::open().await;
    world.open_to_readers().await;
    let reader = world.reader();
    reader.ready().await.unwrap();
    world.drop_database().await;
    let refused = reader.orders(&OrderQuery::default()).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    world.create_database().await;
    world.open_to_readers().await;
    assert_eq!(reader.orders(&OrderQuery::default()).await.unwrap(), []);

    let nowhere = Reader::connect_lazy("postgres://nobody:secret@127.0.0.1:1/none").unwrap();
    let refused = nowhere.ready().await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert!(!format!("{nowhere:?} {refused} {refused:?}").contains("secret"));
}

//! Orders in the read model: documents, columns, lines and work of locations, against what the domain
//! makes of the same events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::ids::{MovementId, OrderId};
use domain::money::Currency;
use domain::order::{
    CancelReason, FulfilmentOrderStatus, FulfilmentStatus, Line, LineUnits, Order, OrderDetails,
    OrderEvent, OrderLinesCancelled, OrderPlaced, OrderStatus, PaymentStatus, PlacedOrder,
    ReturnStatus,
};
use domain::quantity::Quantity;
use projector::read_model::{
    Cursor, FulfilmentOrderQuery, ListedFulfilmentOrder, OrderCount, OrderFilter, OrderQuery,
    OrderRow, OrderStatus as Status, Reader, SalesFilter, SalesTotal,
};
use schemas::stream_of;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::history::{at, confirmed, order_id, order_stream, placed};
use crate::lives::{Dice, Life};
use crate::world::{World, settled};

/// Appends the events of all of `lives`, a few of this and a few of that order, and stops to let the
/// projector catch up now and then, so that it comes to them in batches of all sizes.
pub(crate) async fn interleaved(world: &World, lives: &[Life], seed: u64) {
    let projector = world.projector();
    let mut dice = Dice::new(seed);
    let mut left: Vec<(OrderId, &[OrderEvent])> =
        lives.iter().map(|life| (life.id, life.events.as_slice())).collect();
    while !left.is_empty() {
        let at = dice.roll(u32::try_from(left.len()).unwrap()) as usize;
        let (id, events) = left[at];
        let some = (dice.roll(6) as usize + 1).min(events.len());
        world.append(&stream_of::<Order>(&id), &events[..some]).await;
        left[at].1 = &events[some..];
        if left[at].1.is_empty() {
            left.swap_remove(at);
        }
        if dice.roll(40) == 0 {
            settled(world, &projector).await;
        }
    }
    settled(world, &projector).await;
    projector.stop().await;
}

pub(crate) async fn lived(orders: u32) -> (World, Reader, Vec<Life>) {
    let world = World::open().await;
    let lives: Vec<_> = (0..orders).map(Life::of).collect();
    interleaved(&world, &lives, 1).await;
    let reader = world.reader();
    (world, reader, lives)
}

async fn everything(reader: &Reader) -> Vec<OrderRow> {
    let query = OrderQuery { limit: 10_000, ..OrderQuery::default() };
    reader.orders(&query).await.unwrap()
}

#[tokio::test]
async fn the_document_that_is_read_is_the_fold_of_the_stream() {
    let (_world, reader, lives) = lived(60).await;
    let ids: Vec<Uuid> = lives.iter().map(|life| life.id.0).collect();
    let mut documents = reader.order_documents_by_ids(&ids).await.unwrap();
    assert_eq!(documents.len(), lives.len());
    for life in &lives {
        let at = documents.iter().position(|it| it.row.id == life.id.0).unwrap();
        let document = documents.swap_remove(at);
        assert_eq!(document.order, life.order());
        let last = i64::try_from(life.events.len()).unwrap() - 1;
        assert_eq!((document.row.revision, document.row.quarantined), (last, false));
    }
}

/// Whether the lives that the other tests are about are worth it.
#[test]
fn lives_lead_everywhere() {
    let orders: Vec<_> = (0..400).map(|number| Life::of(number).order()).collect();
    let seen = |of: &dyn Fn(&PlacedOrder) -> &'static str| -> BTreeSet<&'static str> {
        orders.iter().map(of).collect()
    };
    let payment = seen(&|order| order.payment_status().code());
    let fulfilment = seen(&|order| order.fulfilment_status().code());
    let returns = seen(&|order| order.return_status().code());
    assert!(payment.len() > 8, "{payment:?}");
    assert!(fulfilment.len() > 8, "{fulfilment:?}");
    assert!(returns.len() > 4, "{returns:?}");
}

#[tokio::test]
async fn columns_say_what_the_document_says() {
    let (_world, reader, _) = lived(40).await;
    let query = OrderQuery { limit: 10_000, ..OrderQuery::default() };
    let documents = reader.order_documents(&query).await.unwrap();
    assert_eq!(documents.len(), 40);
    for document in documents {
        let (row, order) = (document.row, document.order);
        assert_eq!(row.number, order.number.as_ref().map(ToString::to_string));
        assert_eq!(row.customer, order.customer.as_ref().map(ToString::to_string));
        assert_eq!(row.country, order.country.to_string());
        assert_eq!(row.total_minor, order.details.total.minor);
        assert_eq!(row.current_total_minor, order.total());
        assert_eq!(row.captured_minor, order.captured());
        assert_eq!(row.refunded_minor, went_back(&order));
        assert_eq!(row.outstanding_minor, order.outstanding());
        assert_eq!(row.status.as_str(), order.status.to_string());
        assert_eq!(row.payment_status, order.payment_status());
        assert_eq!(row.fulfilment_status, order.fulfilment_status());
        assert_eq!(row.return_status, order.return_status());
        assert_eq!(row.is_on_hold(), !order.holds.is_empty());
        let holds: Vec<_> = order.holds.keys().map(ToString::to_string).collect();
        assert_eq!(row.holds, holds);
        let tags: Vec<_> = order.tags.iter().map(ToString::to_string).collect();
        assert_eq!(row.tags, tags);
        let sealed = order.contact.as_ref().or(order.shipping_address.as_ref());
        assert_eq!(row.subject, sealed.map(|sealed| sealed.subject.0));
        let lines = reader.lines_of(&[row.id]).await.unwrap();
        assert_eq!(lines.len(), order.lines.len());
        for (number, line) in lines.iter().enumerate() {
            let (bought, ledger) = (&order.details.lines[number], &order.lines[number]);
            assert_eq!(
                (line.sku.as_str(), line.quantity),
                (bought.sku.as_str(), bought.quantity.into())
            );
            let prices = &order.prices.lines[number];
            assert_eq!(line.total_minor, prices.total);
            assert_eq!(line.current_total_minor, prices.value_of(0, ledger.wanted()));
            let units = [
                (line.cancelled, ledger.cancelled),
                (line.allocated, ledger.allocated_units()),
                (line.backordered, ledger.backordered),
                (line.shipped, ledger.shipped),
                (line.delivered, ledger.delivered),
                (line.returned, ledger.returned),
                (line.refunded, ledger.refunded),
            ];
            assert!(units.iter().all(|&(row, ledger)| row == i64::from(ledger)), "{units:?}");
        }
    }
}

/// What went back to the customer.
pub(crate) fn went_back(order: &PlacedOrder) -> i64 {
    order.payments.values().map(|book| book.refunded).sum()
}

/// A condition in words, as the read model understands it, and as a person would check it.
type Condition = (OrderFilter, Box<dyn Fn(&OrderId, &PlacedOrder) -> bool>);

fn conditions() -> Vec<Condition> {
    let some = |name: &str| Some(name.to_owned());
    let default = OrderFilter::default;
    let has = |wanted: &'static str| move |text: &str| text == wanted;
    vec![
        (
            OrderFilter { payment_status: vec![PaymentStatus::Authorised], ..default() },
            Box::new(|_, order| order.payment_status() == PaymentStatus::Authorised),
        ),
        (
            OrderFilter {
                payment_status: vec![PaymentStatus::Paid, PaymentStatus::Pending],
                ..default()
            },
            Box::new(|_, order| {
                matches!(order.payment_status(), PaymentStatus::Paid | PaymentStatus::Pending)
            }),
        ),
        (
            OrderFilter { fulfilment_status: vec![FulfilmentStatus::Cancelled], ..default() },
            Box::new(|_, order| order.fulfilment_status() == FulfilmentStatus::Cancelled),
        ),
        (
            OrderFilter { return_status: vec![ReturnStatus::None], ..default() },
            Box::new(|_, order| order.return_status() == ReturnStatus::None),
        ),
        (
            OrderFilter { status: vec![Status::Pending, Status::Confirmed], ..default() },
            Box::new(|_, order| {
                matches!(order.status, OrderStatus::Pending | OrderStatus::Confirmed)
            }),
        ),
        (
            OrderFilter { on_hold: Some(true), ..default() },
            Box::new(|_, order| !order.holds.is_empty()),
        ),
        (
            OrderFilter { on_hold: Some(false), ..default() },
            Box::new(|_, order| order.holds.is_empty()),
        ),
        (
            OrderFilter { hold: some("address"), ..default() },
            Box::new(move |_, order| order.holds.keys().any(|it| has("address")(it.as_str()))),
        ),
        (
            OrderFilter { tag: some("vip"), ..default() },
            Box::new(move |_, order| order.tags.iter().any(|it| has("vip")(it.as_str()))),
        ),
        (
            OrderFilter { channel: some("till"), ..default() },
            Box::new(|_, order| order.details.channel.as_str() == "till"),
        ),
        (
            OrderFilter { customer: some("c-1"), ..default() },
            Box::new(|_, order| order.customer.as_ref().is_some_and(|it| it.as_str() == "c-1")),
        ),
        (
            OrderFilter { sku: some("SKU-2"), ..default() },
            Box::new(|_, order| order.details.lines.iter().any(|it| it.sku.as_str() == "SKU-2")),
        ),
        (
            OrderFilter { location: some("north"), ..default() },
            Box::new(|_, order| {
                order.fulfilment_orders().iter().any(|it| it.location.as_str() == "north")
            }),
        ),
        (
            OrderFilter { country: some("FR"), ..default() },
            Box::new(|_, order| order.country.as_str() == "FR"),
        ),
        (
            OrderFilter { placed_from: Some(at(10)), placed_to: Some(at(30)), ..default() },
            Box::new(|_, order| order.placed_at >= at(10) && order.placed_at < at(30)),
        ),
        (
            OrderFilter { total_min: Some(2_000), total_max: Some(6_000), ..default() },
            Box::new(|_, order| (2_000..=6_000).contains(&order.details.total.minor)),
        ),
        (
            OrderFilter { currency: some("EUR"), total_min: Some(1_000), ..default() },
            Box::new(|_, order| {
                let total = order.details.total;
                total.currency == Currency::EUR && total.minor >= 1_000
            }),
        ),
    ]
}

/// Both at once.
fn and(one: &OrderFilter, other: &OrderFilter) -> OrderFilter {
    fn set<T: Clone>(one: Option<&T>, other: Option<&T>) -> Option<T> {
        one.or(other).cloned()
    }
    fn list<T: Clone>(one: &[T], other: &[T]) -> Vec<T> {
        if one.is_empty() { other.to_vec() } else { one.to_vec() }
    }
    OrderFilter {
        status: list(&one.status, &other.status),
        payment_status: list(&one.payment_status, &other.payment_status),
        fulfilment_status: list(&one.fulfilment_status, &other.fulfilment_status),
        return_status: list(&one.return_status, &other.return_status),
        on_hold: set(one.on_hold.as_ref(), other.on_hold.as_ref()),
        hold: set(one.hold.as_ref(), other.hold.as_ref()),
        tag: set(one.tag.as_ref(), other.tag.as_ref()),
        channel: set(one.channel.as_ref(), other.channel.as_ref()),
        customer: set(one.customer.as_ref(), other.customer.as_ref()),
        sku: set(one.sku.as_ref(), other.sku.as_ref()),
        number: set(one.number.as_ref(), other.number.as_ref()),
        external_reference: set(one.external_reference.as_ref(), other.external_reference.as_ref()),
        location: set(one.location.as_ref(), other.location.as_ref()),
        country: set(one.country.as_ref(), other.country.as_ref()),
        placed_from: set(one.placed_from.as_ref(), other.placed_from.as_ref()),
        placed_to: set(one.placed_to.as_ref(), other.placed_to.as_ref()),
        updated_from: set(one.updated_from.as_ref(), other.updated_from.as_ref()),
        updated_to: set(one.updated_to.as_ref(), other.updated_to.as_ref()),
        currency: set(one.currency.as_ref(), other.currency.as_ref()),
        total_min: set(one.total_min.as_ref(), other.total_min.as_ref()),
        total_max: set(one.total_max.as_ref(), other.total_max.as_ref()),
    }
}

#[tokio::test]
async fn conditions_hold_alone_and_together() {
    let (_world, reader, lives) = lived(80).await;
    let orders: Vec<_> = lives.iter().map(|life| (life.id, life.order())).collect();
    let conditions = conditions();
    let mut found = 0;
    for (n, (filter, passes)) in conditions.iter().enumerate() {
        for (other, also_passes) in &conditions[n..] {
            let both = and(filter, other);
            // Conditions on the same thing take each other's place.
            if and(other, filter) != both {
                continue;
            }
            let query = OrderQuery { filter: both.clone(), limit: 1_000, ..OrderQuery::default() };
            let rows = reader.orders(&query).await.unwrap();
            let found_ids: BTreeSet<Uuid> = rows.iter().map(|row| row.id).collect();
            let passing = orders.iter().filter(|(id, it)| passes(id, it) && also_passes(id, it));
            let wanted: BTreeSet<Uuid> = passing.map(|(id, _)| id.0).collect();
            assert_eq!(found_ids, wanted, "{both:?}");
            let count = u32::try_from(wanted.len()).unwrap();
            let counted = reader.orders_count(&both, 1_000).await.unwrap();
            assert_eq!(counted, OrderCount { count, exact: true });
            found += rows.len();
        }
    }
    assert!(found > 1_000, "{found} rows in all");
}

#[tokio::test]
async fn counting_ends_at_the_limit() {
    let (_world, reader, _) = lived(12).await;
    let all = OrderFilter::default();
    let cases = [
        (11, OrderCount { count: 11, exact: false }),
        (12, OrderCount { count: 12, exact: true }),
        (13, OrderCount { count: 12, exact: true }),
        (0, OrderCount { count: 0, exact: false }),
    ];
    for (limit, wanted) in cases {
        assert_eq!(reader.orders_count(&all, limit).await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn an_order_is_found_by_its_number_and_by_what_its_channel_calls_it() {
    let (_world, reader, lives) = lived(30).await;
    for life in &lives {
        let (id, order) = (life.id.0, life.order());
        if let Some(number) = &order.number {
            let found = reader.order_by_number(number.as_str()).await.unwrap().unwrap();
            assert_eq!(found.id, id);
        }
        let Some(reference) = &order.details.external_reference else { continue };
        for channel in ["web", "till", "nowhere"] {
            let found = reader.order_by_external_reference(channel, reference.as_str());
            let found = found.await.unwrap().map(|row| row.id);
            assert_eq!(found, (channel == order.details.channel.as_str()).then_some(id));
        }
    }
    assert_eq!(reader.order_by_number("W-nobody").await.unwrap(), None);
}

#[tokio::test]
async fn locations_have_to_do_what_the_orders_say() {
    let (_world, reader, lives) = lived(60).await;
    let mut wanted = BTreeSet::new();
    for life in &lives {
        for work in life.order().fulfilment_orders() {
            let open: u32 = work.lines.iter().map(|line| line.remaining).sum();
            let shipped: u32 = work.lines.iter().map(|line| line.shipped).sum();
            let location = work.location.to_string();
            wanted.insert((life.id.0, location, work.status, i64::from(open), i64::from(shipped)));
        }
    }
    assert!(wanted.len() > 30, "{}", wanted.len());
    for location in [None, Some("north".to_owned()), Some("south".to_owned())] {
        for status in [
            vec![],
            vec![FulfilmentOrderStatus::Open],
            vec![FulfilmentOrderStatus::Closed, FulfilmentOrderStatus::InProgress],
        ] {
            let (mut seen, mut keys) = (BTreeSet::new(), vec![]);
            let mut query = FulfilmentOrderQuery {
                location: location.clone(),
                status,
                limit: 7,
                ..FulfilmentOrderQuery::default()
            };
            loop {
                let page = reader.fulfilment_orders(&query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some(Cursor::of_fulfilment_order(&last.row));
                for ListedFulfilmentOrder { row, quarantined } in page {
                    assert!(!quarantined);
                    keys.push((row.placed_at, row.id));
                    let what = (row.order_id, row.location, row.status);
                    seen.insert((what.0, what.1, what.2, row.units_open, row.units_shipped));
                }
            }
            let FulfilmentOrderQuery { location: at, status, .. } = query;
            let passing = wanted.iter().filter(|work| at.as_ref().is_none_or(|at| work.1 == *at));
            let passing = passing.filter(|work| status.is_empty() || status.contains(&work.2));
            assert_eq!(seen, passing.cloned().collect(), "{at:?} {status:?}");
            assert!(keys.is_sorted_by(|one, other| one < other), "each once, the oldest first");
        }
    }
}

#[tokio::test]
async fn sums_are_the_sums_of_the_rows() {
    let (_world, reader, _) = lived(60).await;
    let rows = everything(&reader).await;
    let mut wanted: BTreeMap<(&str, &str), SalesTotal> = BTreeMap::new();
    for row in &rows {
        let key = (row.currency.as_str(), row.status.as_str());
        let total = wanted.entry(key).or_insert_with(|| SalesTotal {
            status: row.status,
            currency: row.currency.clone(),
            orders: 0,
            lines: 0,
            units: 0,
            gross_minor: 0,
            cancelled_minor: 0,
            refunded_minor: 0,
        });
        total.orders += 1;
        total.lines += row.line_count;
        total.units += row.unit_count;
        total.gross_minor += row.total_minor;
        total.cancelled_minor += row.total_minor - row.current_total_minor;
        total.refunded_minor += row.refunded_minor;
    }
    let totals = reader.sales_totals(&SalesFilter::default()).await.unwrap();
    assert_eq!(totals, wanted.into_values().collect::<Vec<_>>());
    assert!(totals.iter().any(|total| total.cancelled_minor > 0));
    assert!(totals.iter().any(|total| total.refunded_minor > 0));
}

#[tokio::test]
async fn what_moves_one_line_of_a_thousand_rewrites_neither_the_others_nor_what_was_bought() {
    let world = World::open().await;
    let projector = world.projector();
    let stream = order_stream(1);
    world.append(&stream, &[long(1_000)]).await;
    settled(&world, &projector).await;
    let mut connection = world.connection().await;
    let before = pieces(&mut connection).await;
    let lines = versions_of_lines(&mut connection).await;
    assert_eq!(lines.len(), 1_000);

    let units = LineUnits { line: 7, quantity: Quantity::ONE };
    let cancelled = OrderLinesCancelled {
        lines: vec![units],
        reason: CancelReason::Customer,
        movement: MovementId(Uuid::nil()),
        released: vec![],
    };
    world.append(&stream, &[OrderEvent::LinesCancelled(cancelled)]).await;
    settled(&world, &projector).await;
    let kept: BTreeSet<_> = pieces(&mut connection).await.intersection(&before).copied().collect();
    assert_eq!(kept.len(), 1, "the description stays where it is: {before:?}");
    let moved: Vec<i32> = versions_of_lines(&mut connection)
        .await
        .into_iter()
        .zip(lines)
        .filter(|(now, before)| now != before)
        .map(|((line, _), _)| line)
        .collect();
    assert_eq!(moved, [7]);
    let rows = world.reader().lines_of(&[order_id(1).0]).await.unwrap();
    assert_eq!((rows[7].cancelled, rows.iter().map(|row| row.cancelled).sum::<i64>()), (1, 1));
}

fn long(lines: u32) -> OrderEvent {
    let mut details = OrderDetails::clone(&crate::history::details(1));
    let line = details.lines[0].clone();
    // Not alike, or they would be compressed to nothing.
    let mut dice = Dice::new(1);
    let mut title = || (0..4).map(|_| dice.roll(u32::MAX).to_string()).collect();
    details.lines = (0..lines).map(|_| Line { title: title(), ..line.clone() }).collect();
    details.total = line.subtotal().unwrap().times(lines).unwrap();
    let prices = Arc::new(domain::pricing::price(&details).unwrap());
    let placed = OrderPlaced { number: None, details: Arc::new(details), prices, placed_at: at(0) };
    OrderEvent::Placed(placed)
}

/// The large values that Postgres keeps outside the rows of orders.
async fn pieces(connection: &mut PgConnection) -> BTreeSet<i64> {
    let table: String = sqlx::query_scalar(
        "select reltoastrelid::regclass::text from pg_class \
         where oid = 'orders_g1.orders'::regclass",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    let pieces = format!("select distinct chunk_id::bigint from {table}");
    let pieces: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(pieces)).fetch_all(connection).await.unwrap();
    pieces.into_iter().collect()
}

/// Which version of each line of all orders is in the table.
async fn versions_of_lines(connection: &mut PgConnection) -> Vec<(i32, String)> {
    let lines = "select line, xmin::text from orders_g1.order_lines order by line";
    sqlx::query_as(lines).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn an_order_is_not_placed_twice() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1), placed(2), confirmed()]).await;
    settled(&world, &projector).await;
    let row = world.reader().order(order_id(1).0).await.unwrap().unwrap();
    assert_eq!((row.revision, row.quarantined, row.status), (0, true, Status::Pending));
}

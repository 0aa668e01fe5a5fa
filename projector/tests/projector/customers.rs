//! Customers in the read model, against sums over all orders at once.

use std::collections::BTreeMap;

use domain::ids::CustomerRef;
use domain::order::{OrderCustomerAttached, OrderEvent, OrderStatus, PlacedOrder};
use projector::read_model::{Cursor, CustomerQuery, CustomerRow, CustomerSort, Reader};
use projector::{ProjectionName, Rebuild};
use uuid::Uuid;

use crate::history::{at, order_id, order_stream, placed};
use crate::lives::Life;
use crate::orders::{interleaved, lived, went_back};
use crate::world::{World, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;

/// The rows of customers, worked out from all orders at once.
fn customers_of(orders: &[(Uuid, PlacedOrder)]) -> BTreeMap<(String, String), CustomerRow> {
    let mut rows: BTreeMap<(String, String), CustomerRow> = BTreeMap::new();
    for (id, order) in orders {
        let Some(customer) = &order.customer else { continue };
        let key = (customer.to_string(), order.details.currency.to_string());
        let row = rows.entry(key.clone()).or_insert_with(|| CustomerRow {
            id: Uuid::nil(),
            customer: key.0,
            currency: key.1,
            orders: 0,
            cancelled_orders: 0,
            spent_minor: 0,
            first_order_at: order.placed_at,
            last_order_at: order.placed_at,
            last_order_id: *id,
        });
        let nothing = matches!(order.status, OrderStatus::Cancelled(_) | OrderStatus::Rejected(_));
        row.orders += 1;
        row.cancelled_orders += i64::from(nothing);
        row.spent_minor += order.captured() - went_back(order);
        row.first_order_at = row.first_order_at.min(order.placed_at);
        let last = (row.last_order_at, row.last_order_id).max((order.placed_at, *id));
        (row.last_order_at, row.last_order_id) = last;
    }
    rows
}

async fn customers(reader: &Reader) -> BTreeMap<(String, String), CustomerRow> {
    let query = CustomerQuery { limit: 10_000, ..CustomerQuery::default() };
    let rows = reader.customers(&query).await.unwrap();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| (row.customer.clone(), row.currency.clone(), row))
        .map(|(customer, currency, row)| {
            ((customer, currency), CustomerRow { id: Uuid::nil(), ..row })
        })
        .collect();
    assert_eq!(rows.len(), count, "one row per customer and currency");
    rows
}

#[tokio::test]
async fn customers_add_up_whatever_order_events_come_in() {
    let lives: Vec<_> = (0..60).map(Life::of).collect();
    let orders: Vec<_> = lives.iter().map(|life| (life.id.0, life.order())).collect();
    let wanted = customers_of(&orders);
    let mut dumps = vec![];
    for seed in 1..=3 {
        let world = World::open().await;
        interleaved(&world, &lives, seed).await;
        assert_eq!(customers(&world.reader()).await, wanted, "{seed}");
        let dump = world.dump().await;
        dumps
            .push(dump.into_iter().filter(|row| row.starts_with("customers ")).collect::<Vec<_>>());

        let rebuild =
            Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
        rebuild.unwrap().finish().await.unwrap();
        assert_eq!(customers(&world.reader()).await, wanted, "{seed}, rebuilt");
    }
    assert!(dumps.iter().all(|dump| *dump == dumps[0] && dump.len() > 5), "the same bytes");
}

#[tokio::test]
async fn an_order_that_changes_hands_leaves_no_trace_at_its_former_customer() {
    let world = World::open().await;
    let projector = world.projector();
    let attached = |name: &str| {
        let customer = CustomerRef::new(name).unwrap();
        OrderEvent::CustomerAttached(OrderCustomerAttached { customer })
    };
    // The earliest, one in between, and the latest order of somebody, and the only one of nobody.
    for number in [3, 9, 15, 4] {
        world.append(&order_stream(number), &[placed(number)]).await;
    }
    for number in [3, 9, 15] {
        world.append(&order_stream(number), &[attached("ann")]).await;
    }
    settled(&world, &projector).await;
    let reader = world.reader();
    let ann = || async { reader.customer("ann").await.unwrap() };
    assert_eq!((ann().await[0].orders, ann().await[0].last_order_id), (3, order_id(15).0));

    world.append(&order_stream(15), &[attached("bob")]).await;
    settled(&world, &projector).await;
    let row = &ann().await[0];
    assert_eq!((row.orders, row.first_order_at, row.last_order_at), (2, at(1), at(3)));
    assert_eq!(row.last_order_id, order_id(9).0);
    // And back within one batch, while another one goes.
    let events = [attached("ann"), attached("bob"), attached("ann")];
    world.append(&order_stream(15), &events).await;
    world.append(&order_stream(3), &[attached("bob")]).await;
    settled(&world, &projector).await;
    let row = &ann().await[0];
    assert_eq!((row.orders, row.first_order_at, row.last_order_at), (2, at(3), at(5)));
    let bob = reader.customer("bob").await.unwrap();
    assert_eq!((bob[0].orders, bob[0].first_order_at, bob[0].last_order_at), (1, at(1), at(1)));
    for number in [9, 15] {
        world.append(&order_stream(number), &[attached("bob")]).await;
    }
    settled(&world, &projector).await;
    assert_eq!(ann().await, []);
    assert_eq!(reader.customer("bob").await.unwrap()[0].orders, 3);
}

#[tokio::test]
async fn pages_of_customers_show_every_one_once_in_order() {
    let (_world, reader, _) = lived(60).await;
    for sort in [CustomerSort::LastOrderAt, CustomerSort::Spent] {
        for descending in [false, true] {
            let query = |limit| CustomerQuery { sort, descending, limit, ..Default::default() };
            let whole = reader.customers(&query(1_000)).await.unwrap();
            let key = |row: &CustomerRow| match sort {
                CustomerSort::LastOrderAt => (row.last_order_at.timestamp_micros(), row.id),
                CustomerSort::Spent => (row.spent_minor, row.id),
            };
            let in_order = whole.is_sorted_by(|one, other| {
                if descending { key(one) > key(other) } else { key(one) < key(other) }
            });
            assert!(in_order && whole.len() > 8, "{sort:?} {descending}");
            let (mut all, mut page) = (vec![], query(3));
            loop {
                let rows = reader.customers(&page).await.unwrap();
                let Some(last) = rows.last() else { break };
                page.after = Some(Cursor::of_customer(last, sort).to_string().parse().unwrap());
                all.extend(rows);
            }
            assert_eq!(all, whole);
        }
    }
    let query = CustomerQuery { currency: Some("EUR".to_owned()), ..CustomerQuery::default() };
    let rows = reader.customers(&query).await.unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.currency == "EUR"));
}

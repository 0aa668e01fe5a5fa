//! Lists of orders as of some time, against what the domain makes of the events recorded by then.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Decider;
use domain::ids::{CustomerRef, OrderId};
use domain::order::{
    FulfilmentStatus, Order, OrderCustomerAttached, OrderEvent, OrderState, OrderStatus,
    PaymentStatus, PlacedOrder, ReturnStatus,
};
use journal::{ExpectedRevision, Proposed, ids};
use projector::read_model::{
    Cursor, Error, OrderCount, OrderFilter, OrderQuery, OrderSort, OrderStatus as Status,
    OrderThen, Reader,
};
use schemas::{Metadata, StoredEvent, stream_of};
use uuid::Uuid;

use crate::history::{at, order_stream, placed};
use crate::lives::{Dice, Life};
use crate::world::{World, settled};

/// A life, and when each of its events was recorded.
struct Past {
    life: Life,
    times: Vec<DateTime<Utc>>,
}

impl Past {
    /// Begins at some time and goes on at random. Now and then a clock lags behind another one.
    fn of(number: u32, dice: &mut Dice) -> Self {
        let mut life = Life::of(number);
        if dice.roll(3) == 0 {
            let customer = CustomerRef::new(format!("c-{}", dice.roll(6))).unwrap();
            let attached = OrderEvent::CustomerAttached(OrderCustomerAttached { customer });
            let place = (1 + dice.roll(3) as usize).min(life.events.len());
            life.events.insert(place, attached);
        }
        let mut now = at(i64::from(dice.roll(1_200)) + 30);
        let first = now;
        let times = life.events.iter().map(|_| {
            now += TimeDelta::seconds(i64::from(dice.roll(30)));
            let lag = if dice.roll(8) == 0 { i64::from(dice.roll(40)) } else { 0 };
            (now - TimeDelta::seconds(lag)).max(first)
        });
        Self { times: times.collect(), life }
    }

    /// The order by the last event recorded by `time`, with that event's number.
    fn then(&self, time: DateTime<Utc>) -> Option<(usize, PlacedOrder)> {
        let first = self.times.first().filter(|first| **first <= time);
        let last = first.and_then(|_| self.times.iter().rposition(|at| *at <= time))?;
        let state = domain::fold::<Order>(Order::initial(), &self.life.events[..=last]);
        let OrderState::Placed(order) = state else { panic!("it was placed") };
        Some((last, *order))
    }

    async fn append(&self, world: &World) {
        let events = self.life.events.iter().zip(&self.times).map(|(event, &recorded_at)| {
            let encoded = event.encode();
            let metadata = Metadata {
                command_id: Uuid::from_u128(1),
                correlation_id: self.life.id.0,
                causation_id: Uuid::from_u128(3),
                actor: "test:past".to_owned(),
                schema_version: encoded.version,
                recorded_at,
                traceparent: None,
            };
            Proposed { event_id: ids::new_id(), metadata, encoded }
        });
        let stream = stream_of::<Order>(&self.life.id);
        let expected = ExpectedRevision::after(None);
        world.journal.append(&stream, expected, events.collect()).await.unwrap();
    }
}

async fn lived(orders: u32) -> (World, Reader, Vec<Past>) {
    let world = World::open().await;
    let mut dice = Dice::new(5);
    let pasts: Vec<_> = (0..orders).map(|number| Past::of(number, &mut dice)).collect();
    let projector = world.projector();
    for past in &pasts {
        past.append(&world).await;
    }
    settled(&world, &projector).await;
    projector.stop().await;
    let reader = world.reader();
    (world, reader, pasts)
}

/// Some times between the first event and the last, and one before and one after all.
fn some_times(dice: &mut Dice) -> Vec<DateTime<Utc>> {
    let times = (0..12).map(|_| at(i64::from(dice.roll(2_200))));
    times.chain([at(0), at(1_000_000)]).collect()
}

type Condition = (OrderFilter, Box<dyn Fn(&OrderId, &PlacedOrder) -> bool>);

fn conditions() -> Vec<Condition> {
    let some = |name: &str| Some(name.to_owned());
    let default = OrderFilter::default;
    vec![
        (default(), Box::new(|_, _| true)),
        (
            OrderFilter { status: vec![Status::Pending], ..default() },
            Box::new(|_, order| order.status == OrderStatus::Pending),
        ),
        (
            OrderFilter {
                payment_status: vec![PaymentStatus::Paid, PaymentStatus::Authorised],
                ..default()
            },
            Box::new(|_, order| {
                matches!(order.payment_status(), PaymentStatus::Paid | PaymentStatus::Authorised)
            }),
        ),
        (
            OrderFilter { fulfilment_status: vec![FulfilmentStatus::InProgress], ..default() },
            Box::new(|_, order| order.fulfilment_status() == FulfilmentStatus::InProgress),
        ),
        (
            OrderFilter { return_status: vec![ReturnStatus::Requested], ..default() },
            Box::new(|_, order| order.return_status() == ReturnStatus::Requested),
        ),
        (
            OrderFilter { on_hold: Some(true), ..default() },
            Box::new(|_, order| !order.holds.is_empty()),
        ),
        (
            OrderFilter { on_hold: Some(false), channel: some("web"), ..default() },
            Box::new(|_, order| order.holds.is_empty() && order.details.channel.as_str() == "web"),
        ),
        (
            OrderFilter { hold: some("value"), ..default() },
            Box::new(|_, order| order.holds.keys().any(|hold| hold.as_str() == "value")),
        ),
        (
            OrderFilter { tag: some("vip"), ..default() },
            Box::new(|_, order| order.tags.iter().any(|tag| tag.as_str() == "vip")),
        ),
        (
            OrderFilter { customer: some("c-1"), ..default() },
            Box::new(|_, order| order.customer.as_ref().is_some_and(|it| it.as_str() == "c-1")),
        ),
        (
            OrderFilter { sku: some("SKU-2"), country: some("GB"), ..default() },
            Box::new(|_, order| {
                order.country.as_str() == "GB"
                    && order.details.lines.iter().any(|line| line.sku.as_str() == "SKU-2")
            }),
        ),
    ]
}

#[tokio::test]
async fn a_list_as_of_a_time_is_the_fold_of_what_was_recorded_by_then() {
    let (_world, reader, pasts) = lived(80).await;
    let mut found = 0;
    for time in some_times(&mut Dice::new(2)) {
        let known: Vec<_> = pasts
            .iter()
            .filter_map(|past| past.then(time).map(|(last, order)| (past, last, order)))
            .collect();
        for (filter, passes) in conditions() {
            let query = OrderQuery { filter, limit: 1_000, ..OrderQuery::default() };
            let rows = reader.orders_then(&query, time).await.unwrap();
            let wanted = known.iter().filter(|(past, _, order)| passes(&past.life.id, order));
            let mut wanted: Vec<OrderThen> =
                wanted.map(|(past, last, order)| expected(past, *last, order)).collect();
            wanted.sort_by_key(|order| std::cmp::Reverse((order.placed_at, order.id)));
            assert_eq!(rows, wanted, "{:?} as of {time}", query.filter);
            let counted = reader.orders_count_then(&query.filter, time, 1_000).await.unwrap();
            let count = u32::try_from(wanted.len()).unwrap();
            assert_eq!(counted, OrderCount { count, exact: true });
            found += rows.len();
        }
    }
    assert!(found > 1_000, "{found} rows in all");
}

fn expected(past: &Past, last: usize, order: &PlacedOrder) -> OrderThen {
    let then = projector::read_model::TimelineRow {
        order_id: past.life.id.0,
        revision: i64::try_from(last).unwrap(),
        event_type: past.life.events[last].encode().event_type.to_owned(),
        recorded_at: past.times[last],
        actor: "test:past".to_owned(),
        causation_id: Uuid::from_u128(3),
        status: *Status::ALL.iter().find(|it| it.as_str() == order.status.code()).unwrap(),
        payment_status: order.payment_status(),
        fulfilment_status: order.fulfilment_status(),
        return_status: order.return_status(),
        current_total_minor: order.total(),
        captured_minor: order.captured(),
        refunded_minor: crate::orders::went_back(order),
        outstanding_minor: order.outstanding(),
        customer: order.customer.as_ref().map(ToString::to_string),
        country: order.country.to_string(),
        holds: (!order.holds.is_empty())
            .then(|| order.holds.keys().map(ToString::to_string).collect()),
        tags: (!order.tags.is_empty())
            .then(|| order.tags.iter().map(ToString::to_string).collect()),
    };
    OrderThen {
        id: past.life.id.0,
        number: order.number.as_ref().map(ToString::to_string),
        channel: order.details.channel.to_string(),
        external_reference: order.details.external_reference.as_ref().map(ToString::to_string),
        currency: order.details.currency.to_string(),
        total_minor: order.details.total.minor,
        placed_at: order.placed_at,
        then,
        quarantined: false,
    }
}

#[tokio::test]
async fn pages_as_of_a_time_show_every_order_once_in_order_while_time_goes_on() {
    let (world, reader, pasts) = lived(50).await;
    let time = at(700);
    let known = pasts.iter().filter(|past| past.then(time).is_some()).count();
    assert!((20..45).contains(&known), "{known}");
    for sort in [OrderSort::PlacedAt, OrderSort::UpdatedAt, OrderSort::Total] {
        for descending in [false, true] {
            let query = |limit| OrderQuery { sort, descending, limit, ..OrderQuery::default() };
            let whole = reader.orders_then(&query(1_000), time).await.unwrap();
            let key = |order: &OrderThen| match sort {
                OrderSort::PlacedAt => (order.placed_at.timestamp_micros(), order.id),
                OrderSort::UpdatedAt => (order.then.recorded_at.timestamp_micros(), order.id),
                OrderSort::Total => (order.total_minor, order.id),
            };
            let in_order = whole.is_sorted_by(|one, other| {
                if descending { key(one) > key(other) } else { key(one) < key(other) }
            });
            assert!(in_order && whole.len() == known, "{sort:?} {descending}");
            let (mut all, mut page) = (vec![], query(7));
            loop {
                let rows = reader.orders_then(&page, time).await.unwrap();
                let Some(last) = rows.last() else { break };
                page.after = Some(Cursor::of_order_then(last, sort).to_string().parse().unwrap());
                all.extend(rows);
            }
            assert_eq!(all, whole, "{sort:?} {descending}");
        }
    }
    // What happens later changes nothing.
    let query = OrderQuery { limit: 1_000, ..OrderQuery::default() };
    let before = reader.orders_then(&query, time).await.unwrap();
    let projector = world.projector();
    let later = Past { life: Life::of(1_000), times: vec![] };
    let times = later.life.events.iter().map(|_| at(5_000)).collect();
    Past { times, ..later }.append(&world).await;
    settled(&world, &projector).await;
    assert_eq!(reader.orders_then(&query, time).await.unwrap(), before);
}

#[tokio::test]
async fn an_order_that_changed_hands_was_its_former_customers_then() {
    let (_world, reader, pasts) = lived(80).await;
    let mut moved = 0;
    for past in &pasts {
        let customers = past.times.iter().filter_map(|&time| {
            Some(past.then(time)?.1.customer.as_ref().map(ToString::to_string))
        });
        let customers: BTreeSet<_> = customers.flatten().collect();
        moved += usize::from(customers.len() > 1);
    }
    assert!(moved > 3, "{moved} orders changed hands");
    for time in some_times(&mut Dice::new(9)) {
        for name in ["c-0", "c-3"] {
            let customer = Some(name.to_owned());
            let filter = OrderFilter { customer, ..OrderFilter::default() };
            let query = OrderQuery { filter, limit: 1_000, ..OrderQuery::default() };
            let rows = reader.orders_then(&query, time).await.unwrap();
            let found: BTreeSet<Uuid> = rows.iter().map(|order| order.id).collect();
            let theirs = pasts.iter().filter(|past| {
                let then = past.then(time).and_then(|(_, order)| order.customer);
                then.is_some_and(|customer| customer.as_str() == name)
            });
            assert_eq!(found, theirs.map(|past| past.life.id.0).collect(), "{name} at {time}");
        }
    }
}

#[tokio::test]
async fn the_last_row_of_a_timeline_says_what_the_row_of_the_order_says() {
    let (_world, reader, pasts) = lived(40).await;
    let ids: Vec<Uuid> = pasts.iter().map(|past| past.life.id.0).collect();
    let rows = reader.orders_by_ids(&ids).await.unwrap();
    assert_eq!(rows.len(), pasts.len());
    for row in rows {
        let events: Vec<_> = reader.timeline(row.id, None, 1_000).await.unwrap();
        let revisions: Vec<_> = events.iter().map(|event| event.then.revision).collect();
        assert_eq!(revisions, (0..=row.revision).collect::<Vec<_>>());
        let behind = reader.timeline(row.id, Some(row.revision - 1), 1_000).await.unwrap();
        assert_eq!(behind, events[events.len() - 1..]);
        let last = &behind[0].then;
        assert_eq!((last.revision, last.recorded_at), (row.revision, row.updated_at));
        assert_eq!(last.status, row.status);
        assert_eq!(last.payment_status, row.payment_status);
        assert_eq!(last.fulfilment_status, row.fulfilment_status);
        assert_eq!(last.return_status, row.return_status);
        let money = (last.current_total_minor, last.captured_minor, last.refunded_minor);
        assert_eq!(money, (row.current_total_minor, row.captured_minor, row.refunded_minor));
        assert_eq!((last.outstanding_minor, &last.country), (row.outstanding_minor, &row.country));
        assert_eq!(last.customer, row.customer);
        assert_eq!(last.holds.clone().unwrap_or_default(), row.holds);
        assert_eq!(last.tags.clone().unwrap_or_default(), row.tags);
    }
}

#[tokio::test]
async fn where_goods_were_cannot_be_asked() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    settled(&world, &projector).await;
    let filter = OrderFilter { location: Some("main".to_owned()), ..OrderFilter::default() };
    let reader = world.reader();
    let counted = reader.orders_count_then(&filter, at(9), 10).await;
    assert!(matches!(counted, Err(Error::NotInThePast("location"))), "{counted:?}");
    let query = OrderQuery { filter, ..OrderQuery::default() };
    let listed = reader.orders_then(&query, at(9)).await;
    assert!(matches!(listed, Err(Error::NotInThePast("location"))), "{listed:?}");
}

#[tokio::test]
async fn an_order_that_was_placed_ahead_of_its_time_is_known_from_when_it_was_recorded() {
    let world = World::open().await;
    let projector = world.projector();
    // Placed at second 3, recorded at second 0.
    world.append(&order_stream(9), &[placed(9)]).await;
    settled(&world, &projector).await;
    let reader = world.reader();
    for (second, known) in [(-1, 0), (0, 1), (2, 1), (3, 1), (4, 1)] {
        for sort in [OrderSort::PlacedAt, OrderSort::UpdatedAt, OrderSort::Total] {
            let query = OrderQuery { sort, ..OrderQuery::default() };
            let rows = reader.orders_then(&query, at(second)).await.unwrap();
            assert_eq!(rows.len(), known, "{second} {sort:?}");
        }
    }
}

#[tokio::test]
async fn looking_back_ends_when_it_takes_too_long() {
    let (world, reader, pasts) = lived(2).await;
    // Whatever takes so long: here it is somebody who keeps the table to themselves.
    let mut other = world.connection().await;
    let lock = "begin; lock table orders_g1.order_timeline in access exclusive mode";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let (query, time) = (OrderQuery::default(), pasts[0].times[0]);
    let (listed, counted) = tokio::join!(
        reader.orders_then(&query, time),
        reader.orders_count_then(&query.filter, time, 10)
    );
    assert!(matches!(listed, Err(Error::TooBroad)), "{listed:?}");
    assert!(matches!(counted, Err(Error::TooBroad)), "{counted:?}");
}

//! What a history has to be: a log that a running system could have written, and that read models take.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::fulfilment::{Fulfilment, FulfilmentState};
use domain::order::{Order, OrderState, OrderStatus};
use domain::payment::Payment;
use domain::shipment::{Shipment, ShipmentStage};
use domain::stock::{Stock, StockState};
use embedded_store::maintenance::{Record, Records, Selection};
use journal::{Journal, SystemClock};
use private_postgres::Cluster;
use projector::{ProjectionName, Projector};
use schemas::{AnyEvent, Metadata};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{Parameters, Shape, Tally, in_folder};
use crate::stage::free_port;

const DEADLINE: Duration = Duration::from_mins(1);

fn parameters(shape: Shape) -> Parameters {
    Parameters { orders: 200, shape, skus: 60, seed: 7 }
}

/// All events of a store but the process managers' checkpoint.
fn events_in(store: &Path) -> Vec<(Record, Metadata, AnyEvent)> {
    let records = Records::open(store, Selection::default()).unwrap().map(Result::unwrap);
    let ours = records.filter(|record| record.kind != "process-manager-checkpointed");
    let read = |record: Record| {
        let metadata: Metadata = serde_json::from_slice(&record.metadata).unwrap();
        let event = AnyEvent::decode(&record.kind, metadata.schema_version, &record.data);
        let event = event.unwrap_or_else(|error| panic!("{}: {error}", record.stream));
        (record, metadata, event)
    };
    ours.map(read).collect()
}

#[derive(Default)]
struct States {
    orders: HashMap<String, OrderState>,
    payments: HashMap<String, domain::payment::PaymentState>,
    shipments: HashMap<String, domain::shipment::ShipmentState>,
    stock: HashMap<String, StockState>,
    processes: HashMap<String, FulfilmentState>,
}

fn fold<D: domain::Decider>(
    states: &mut HashMap<String, D::State>,
    stream: &str,
    event: &D::Event,
) {
    let state = states.remove(stream).unwrap_or_else(D::initial);
    states.insert(stream.to_owned(), D::evolve(state, event));
}

fn states_of(events: &[(Record, Metadata, AnyEvent)]) -> States {
    let mut states = States::default();
    for (record, _, event) in events {
        let stream = &record.stream;
        match event {
            AnyEvent::Order(event) => fold::<Order>(&mut states.orders, stream, event),
            AnyEvent::Payment(event) => fold::<Payment>(&mut states.payments, stream, event),
            AnyEvent::Shipment(event) => fold::<Shipment>(&mut states.shipments, stream, event),
            AnyEvent::Stock(event) => fold::<Stock>(&mut states.stock, stream, event),
            AnyEvent::Fulfilment(event) => fold::<Fulfilment>(&mut states.processes, stream, event),
            AnyEvent::Numbering(_) | AnyEvent::DataKey(_) => {}
            AnyEvent::CreditNote(_) | AnyEvent::Reference(_) | AnyEvent::Erasure(_) => {
                panic!("{stream} is not part of a history")
            }
        }
    }
    states
}

#[test]
fn every_stream_folds_to_what_the_tally_says_and_nothing_is_left_to_be_done() {
    for shape in [Shape::Full, Shape::Lean] {
        let folder = tempfile::tempdir().unwrap();
        let history = in_folder(&parameters(shape), &folder.path().join("it")).unwrap();
        let events = events_in(&history.event_store);
        let states = states_of(&events);

        let mut counted = Tally::default();
        for state in states.orders.values() {
            counted.count(state.placed().unwrap());
        }
        let Tally { events: count, bytes, streams, customers, .. } = history.tally;
        assert_eq!(history.tally, Tally { events: count, bytes, streams, customers, ..counted });
        assert_eq!(count, events.len() as u64 + 1);
        assert_eq!(folded_streams(&events), streams - 1);

        for (stream, state) in &states.shipments {
            assert_eq!(state.stage, ShipmentStage::Delivered, "{stream}");
        }
        for (stream, state) in &states.processes {
            let held = states.orders.get(&stream.replacen("fulfilment", "order", 1));
            let held = held.and_then(OrderState::placed).is_some_and(|it| !it.holds.is_empty());
            assert_eq!(matches!(state, FulfilmentState::Finished(_)), !held, "{stream}: {state:?}");
        }
        let held = |state: &&OrderState| !state.placed().unwrap().holds.is_empty();
        let reserved: u64 = states.stock.values().map(StockState::reserved).sum();
        let held: u64 = states.orders.values().filter(held).map(units).sum();
        assert_eq!(reserved, held);
        let captured: i64 =
            states.payments.values().filter_map(|it| it.ledger()).map(|it| it.captured.minor).sum();
        assert_eq!(captured, history.tally.captured);
    }
}

fn units(state: &OrderState) -> u64 {
    let order = state.placed().unwrap();
    assert_eq!(order.status, OrderStatus::Pending);
    order.unshipped()
}

fn folded_streams(events: &[(Record, Metadata, AnyEvent)]) -> u64 {
    let streams: BTreeMap<&str, u64> =
        events.iter().map(|(record, ..)| (record.stream.as_str(), record.revision)).collect();
    streams.len() as u64
}

/// The events of an order of one article that nobody had to look at, as a running system wrote them with
/// simulated partners. When the news of parcels and of money come is left to the partners.
const PLAIN_ORDER: [(&str, &[&str]); 4] = [
    (
        "order",
        &[
            "order-placed",
            "order-allocated",
            "order-payment-authorised",
            "order-confirmed",
            "order-shipment-requested",
            "order-shipment-dispatched",
            "order-capture-requested",
            "order-shipment-tracked",
            "order-shipment-tracked",
            "order-payment-captured",
            "order-shipment-tracked",
            "order-shipment-tracked",
            "order-shipment-tracked",
            "order-shipment-delivered",
            "order-completed",
        ],
    ),
    ("stock", &["stock-reserved", "stock-committed", "stock-shipped"]),
    ("payment", &["payment-authorised", "payment-captured"]),
    (
        "shipment",
        &[
            "shipment-booked",
            "shipment-handed-over",
            "shipment-tracked",
            "shipment-tracked",
            "shipment-tracked",
            "shipment-tracked",
            "shipment-tracked",
            "shipment-delivered",
        ],
    ),
];
/// What its three processes wrote.
const PLAIN_PROCESSES: [(&str, usize); 3] =
    [("fulfilment-started", 3), ("fulfilment-step-completed", 10), ("fulfilment-finished", 3)];

#[test]
fn a_plain_order_is_what_a_running_system_writes() {
    let folder = tempfile::tempdir().unwrap();
    let history = in_folder(&parameters(Shape::Full), &folder.path().join("it")).unwrap();
    let events = events_in(&history.event_store);
    let mut plain = 0;
    for (id, state) in states_of(&events).orders {
        let order = state.placed().unwrap();
        let is_plain = order.goods_ledgers().count() == 1
            && order.details.policies == domain::order::Policies::default()
            && order.status == OrderStatus::Completed
            && order.refunds.is_empty();
        if !is_plain {
            continue;
        }
        plain += 1;
        let of_order = |metadata: &Metadata| id.ends_with(&metadata.correlation_id.to_string());
        let its: Vec<_> = events.iter().filter(|(_, metadata, _)| of_order(metadata)).collect();
        let kinds = |category: &str| {
            let ours = its.iter().filter(|(it, ..)| it.stream.starts_with(category));
            let mut kinds: Vec<&str> = ours.map(|(it, ..)| it.kind.as_str()).collect();
            kinds.retain(|kind| !kind.starts_with("stock-ran"));
            kinds
        };
        for (category, expected) in PLAIN_ORDER {
            let (mut found, mut expected) = (kinds(category), expected.to_vec());
            assert_eq!((found[0], found.last()), (expected[0], expected.last()), "{id}");
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{id}");
        }
        for (kind, count) in PLAIN_PROCESSES {
            assert_eq!(kinds("fulfilment").iter().filter(|it| **it == kind).count(), count, "{id}");
        }
    }
    assert!(plain > 20, "{plain} plain orders");
}

#[test]
fn all_that_happens_to_orders_happens_to_some() {
    let folder = tempfile::tempdir().unwrap();
    let tally = in_folder(&parameters(Shape::Lean), &folder.path().join("it")).unwrap().tally;
    assert_eq!(tally.orders, 200);
    for (what, count, at_most) in [
        ("guests", tally.guests, 40),
        ("cancelled", tally.cancelled, 25),
        ("held", tally.held, 8),
        ("declined", tally.declined, 12),
        ("returned", tally.returned, 18),
    ] {
        assert!((1..=at_most).contains(&count), "{what}: {count} of {tally:?}");
    }
    assert!(tally.delivered >= 170 && tally.completed == tally.delivered, "{tally:?}");
    assert!(tally.refunded > 0 && tally.refunded < tally.captured, "{tally:?}");
    assert!((15..=25).contains(&(tally.events / tally.orders)), "{tally:?}");
}

#[test]
fn orders_are_interleaved_and_time_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = Parameters { orders: 2_000, ..parameters(Shape::Lean) };
    let history = in_folder(&wanted, &folder.path().join("it")).unwrap();
    let events = events_in(&history.event_store);
    let mut places = HashMap::<&str, Vec<usize>>::new();
    let mut before = 0;
    for (place, (record, metadata, _)) in events.iter().enumerate() {
        assert!(record.created >= before, "{}", record.stream);
        assert_eq!(metadata.recorded_at.timestamp_micros() * 10, record.created.cast_signed());
        before = record.created;
        places.entry(&record.stream).or_default().push(place);
    }
    let orders = places.iter().filter(|(stream, _)| stream.starts_with("order-"));
    let torn = orders.filter(|(_, places)| places.last().unwrap() - places[0] > 100).count();
    assert!(torn > 1_600, "{torn} orders are spread among others");
}

#[test]
fn the_same_parameters_tell_the_same_history_and_one_that_is_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let first = in_folder(&parameters(Shape::Lean), &one).unwrap();
    let second = in_folder(&parameters(Shape::Lean), &other).unwrap();
    let records = |store: &Path| -> Vec<Record> {
        Records::open(store, Selection::default()).unwrap().map(Result::unwrap).collect()
    };
    assert!(first.is_new && second.is_new);
    assert_eq!(first.tally, second.tally);
    assert!(records(&first.event_store) == records(&second.event_store));

    let again = in_folder(&parameters(Shape::Lean), &one).unwrap();
    assert_eq!((again.is_new, &again.tally), (false, &first.tally));
    let wanted = Parameters { seed: 8, ..parameters(Shape::Lean) };
    let changed = in_folder(&wanted, &one).unwrap();
    assert!(changed.is_new && changed.tally != first.tally);
    assert_eq!(records(&changed.event_store).len() as u64, changed.tally.events);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("photos"), "of somebody").unwrap();
    let refused = in_folder(&parameters(Shape::Lean), folder.path()).unwrap_err().to_string();
    assert!(refused.contains("holds something else than a history"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_a_history_agree_with_its_tally_and_quarantine_nothing() {
    journal::prepare_tls().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let history = in_folder(&parameters(Shape::Full), &folder.path().join("it")).unwrap();
    let options = embedded_store::Options::at(&history.event_store);
    let store = embedded_store::serve(free_port().await.unwrap(), options).await.unwrap();
    let options = journal::Options::new(store.connection_string().parse().unwrap());
    let journal = Journal::connect(options, Arc::new(SystemClock)).unwrap();
    let cluster = Cluster::temporary().await.unwrap();
    let projector =
        Projector::start(&cluster.url(), journal.clone(), projector::Options::default()).unwrap();
    let head = journal.head().await.unwrap();
    for name in ProjectionName::ALL {
        let mut status = projector.watch(name);
        let caught_up = status.wait_for(|it| it.position >= head && it.caught_up);
        tokio::time::timeout(DEADLINE, caught_up).await.unwrap().unwrap();
        assert_eq!(status.borrow().stats.streams_quarantined, 0, "{name}");
    }
    let mut database = PgConnection::connect(&cluster.url()).await.unwrap();
    let tally = &history.tally;
    for (statement, expected) in [
        ("select count(*) from orders_g1.orders", tally.orders),
        ("select count(*) from orders_g1.orders where status = 'completed'", tally.completed),
        (
            "select count(*) from orders_g1.orders where fulfilment_status = 'delivered'",
            tally.delivered,
        ),
        ("select count(*) from orders_g1.orders where customer is null", tally.guests),
        ("select count(*) from orders_g1.order_lines", tally.lines),
        (
            "select coalesce(sum(captured_minor), 0)::bigint from orders_g1.orders",
            tally.captured.unsigned_abs(),
        ),
        (
            "select coalesce(sum(refunded_minor), 0)::bigint from orders_g1.orders",
            tally.refunded.unsigned_abs(),
        ),
        ("select count(*) from shipments_g1.shipments", tally.shipments),
        ("select count(*) from orderstore.quarantine", 0),
    ] {
        let found: i64 =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut database).await.unwrap();
        assert_eq!(found.unsigned_abs(), expected, "{statement}");
    }
    projector.stop().await;
    store.stop().await;
}

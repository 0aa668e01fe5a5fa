//! Streams that wait because of an event that cannot be folded, and what people do about them.

use bytes::Bytes;
use domain::ids::{CaptureId, PaymentId};
use domain::payment::{Payment, PaymentAuthorised, PaymentCaptureFailed, PaymentEvent};
use projector::quarantine::{self, Skip, Tried, Waiting, Which};
use projector::read_model::{OrderFulfilmentStatus, OrderQuery, OrderRow, OrderStatus};
use projector::{
    Error, Options, ProjectionName, Rebuild, Sample, StreamOutcome, Verification, VerifyOptions,
};
use schemas::{Encoded, StoredEvent, StreamName, stream_of};
use uuid::Uuid;

use crate::history::{confirmed, details, order_id, order_stream, placed, reference, shipped};
use crate::world::{World, eventually, settled, until};

const ORDERS: ProjectionName = ProjectionName::Orders;
const PAYMENTS: ProjectionName = ProjectionName::Payments;

/// An event that a newer build has written.
fn from_the_future() -> Encoded {
    let data = Bytes::from_static(b"{\"to\":\"the moon\"}");
    Encoded { event_type: "order-teleported", version: 1, data }
}

async fn list(world: &World) -> Vec<Waiting> {
    quarantine::list(&world.url, &world.journal).await.unwrap()
}

async fn skip(
    world: &World,
    projection: ProjectionName,
    stream: &StreamName,
    revision: u64,
) -> Result<Vec<Tried>, Error> {
    let (actor, reason) = ("ann".to_owned(), "written by mistake".to_owned());
    let skip = Skip { revision, actor, reason };
    quarantine::skip(&world.url, &world.journal, projection, stream, skip).await
}

async fn order(world: &World, number: u32) -> OrderRow {
    world.reader().order(order_id(number).0).await.unwrap().unwrap()
}

/// Order 1 is placed, teleported and confirmed; order 2 is placed.
async fn a_stuck_stream(world: &World) {
    world.append(&order_stream(1), &[placed(1)]).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    world.append(&order_stream(1), &[confirmed()]).await;
    world.append(&order_stream(2), &[placed(2)]).await;
}

#[tokio::test]
async fn a_stream_that_is_stuck_waits_and_others_flow() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;
    world.append(&order_stream(1), &[shipped()]).await;
    world.append(&order_stream(2), &[confirmed()]).await;
    settled(&world, &projector).await;

    let [waiting] = list(&world).await.try_into().unwrap();
    assert_eq!((waiting.projection, waiting.stream), (ORDERS, order_stream(1)));
    assert_eq!((waiting.generation, waiting.live), (1, true));
    assert_eq!((waiting.revision, waiting.waiting), (1, Some(2)));
    assert_eq!(waiting.event_type.as_deref(), Some("order-teleported"));
    assert!(waiting.error.contains("order-teleported"), "{}", waiting.error);
    let row = order(&world, 1).await;
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Pending, 0, true));
    let row = order(&world, 2).await;
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 1, false));
}

#[tokio::test]
async fn what_stopped_a_stream_is_shown_with_the_row_that_readers_see() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;
    let stream = order_stream(1);
    let case = quarantine::show(&world.url, &world.journal, ORDERS, &stream).await.unwrap();
    let event = case.event.unwrap();
    assert_eq!((event.revision, event.event_type.as_str()), (1, "order-teleported"));
    assert_eq!(event.data.unwrap()["to"], "the moon");
    assert_eq!(event.metadata.actor, "test:projector");
    let row = case.row.unwrap();
    assert_eq!((&row["revision"], &row["quarantined"]), (&0.into(), &true.into()));
    assert_eq!(case.waiting.len(), 1);
    assert_eq!(case.skipped, []);

    let healthy = order_stream(2);
    let refused = quarantine::show(&world.url, &world.journal, ORDERS, &healthy).await;
    assert!(matches!(refused, Err(Error::NotQuarantined { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_event_that_is_skipped_lets_the_later_ones_in_while_the_projector_runs() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;

    let [tried] = skip(&world, ORDERS, &order_stream(1), 1).await.unwrap().try_into().unwrap();
    assert_eq!((tried.generation, tried.applied, tried.stuck), (1, 1, None));
    let row = order(&world, 1).await;
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 2, false));
    assert_eq!(list(&world).await, []);

    world.append(&order_stream(1), &[shipped()]).await;
    settled(&world, &projector).await;
    let row = order(&world, 1).await;
    assert_eq!((row.fulfilment_status, row.revision), (OrderFulfilmentStatus::Shipped, 3));
    assert_eq!(projector.watch(ORDERS).borrow().stats.gaps_healed, 0);
    let noted = "select count(*) from orderstore.skipped where projection = 'orders' \
         and revision = 1 and actor = 'ann' and reason = 'written by mistake'";
    assert_eq!(world.number(noted).await, 1);
}

#[tokio::test]
async fn only_the_event_with_which_a_stream_is_stuck_can_be_skipped() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;
    for revision in [0, 2] {
        let refused = skip(&world, ORDERS, &order_stream(1), revision).await;
        assert!(matches!(refused, Err(Error::StuckElsewhere { .. })), "{refused:?}");
    }
    let refused = skip(&world, ORDERS, &order_stream(2), 0).await;
    assert!(matches!(refused, Err(Error::NotQuarantined { .. })), "{refused:?}");
    let refused = skip(&world, PAYMENTS, &order_stream(1), 1).await;
    assert!(matches!(refused, Err(Error::NotQuarantined { .. })), "{refused:?}");
    assert_eq!(world.number("select count(*) from orderstore.skipped").await, 0);
}

#[tokio::test]
async fn a_stream_that_is_stuck_twice_is_skipped_twice() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    world.append(&order_stream(1), &[shipped()]).await;
    settled(&world, &projector).await;
    let [first] = skip(&world, ORDERS, &order_stream(1), 1).await.unwrap().try_into().unwrap();
    assert_eq!(first.stuck.map(|(revision, _)| revision), Some(3));
    let row = order(&world, 1).await;
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 2, true));
    let [second] = skip(&world, ORDERS, &order_stream(1), 3).await.unwrap().try_into().unwrap();
    assert_eq!(second.stuck, None);
    let row = order(&world, 1).await;
    assert_eq!((row.revision, row.quarantined), (4, false));
}

#[tokio::test]
async fn a_rebuild_after_a_skip_gives_the_same_rows() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    // One that cannot even begin, and one that stays stuck.
    world.append_encoded(&order_stream(3), vec![from_the_future()]).await;
    world.append(&order_stream(3), &[placed(3), confirmed()]).await;
    world.append(&order_stream(4), &[placed(4)]).await;
    world.append_encoded(&order_stream(4), vec![from_the_future()]).await;
    settled(&world, &projector).await;
    skip(&world, ORDERS, &order_stream(1), 1).await.unwrap();
    skip(&world, ORDERS, &order_stream(3), 0).await.unwrap();
    settled(&world, &projector).await;
    let before = world.dump().await;
    assert_eq!((order(&world, 3).await.revision, order(&world, 4).await.revision), (2, 0));

    assert!(verified(&world).await.is_clean());

    let (journal, options) = (world.journal.clone(), Options::default());
    let rebuild = Rebuild::start(&world.url, journal, &[ORDERS], options).await.unwrap();
    rebuild.finish().await.unwrap();
    assert_eq!(world.dump().await, before);
    assert!(verified(&world).await.is_clean());
}

async fn verified(world: &World) -> Verification {
    let options = VerifyOptions { sample: Sample::All, ..VerifyOptions::default() };
    let verified = projector::verify(&world.url, world.journal.clone(), &[ORDERS], options);
    verified.await.unwrap().remove(0)
}

#[tokio::test]
async fn what_was_skipped_can_be_taken_back() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;
    let stuck = world.dump().await;
    let stream = order_stream(1);
    let unskip = async || quarantine::unskip(&world.url, &world.journal, ORDERS, &stream).await;
    let refused = unskip().await;
    assert!(matches!(refused, Err(Error::NotSkipped { .. })), "{refused:?}");

    skip(&world, ORDERS, &stream, 1).await.unwrap();
    let [rebuilt] = unskip().await.unwrap().try_into().unwrap();
    assert!(matches!(rebuilt.outcome, StreamOutcome::Quarantined { revision: 1, .. }));
    assert_eq!(world.dump().await, stuck);
    world.append(&stream, &[shipped()]).await;
    settled(&world, &projector).await;
    assert_eq!(list(&world).await[0].waiting, Some(2));
    assert!(verified(&world).await.is_clean());
}

/// As a build would have left it that does not know `order-confirmed`.
async fn left_by_an_older_build(world: &World) {
    world.execute(
        "insert into orderstore.quarantine (projection, generation, stream, revision, error, build) \
         select 'orders', 1, 'order-' || id, 1, 'unknown', 'older' from orders_g1.orders",
    )
    .await;
    world.execute("update orders_g1.orders set quarantined = true").await;
}

#[tokio::test]
async fn streams_are_tried_again_on_request() {
    let world = World::open().await;
    let projector = world.projector();
    for number in 1..4 {
        world.append(&order_stream(number), &[placed(number)]).await;
    }
    settled(&world, &projector).await;
    projector.stop().await;
    left_by_an_older_build(&world).await;
    for number in 1..4 {
        world.append(&order_stream(number), &[confirmed()]).await;
    }

    let one = Which::One(ORDERS, order_stream(2));
    let [tried] =
        quarantine::retry(&world.url, &world.journal, &one).await.unwrap().try_into().unwrap();
    assert_eq!((tried.stream, tried.applied, tried.stuck), (order_stream(2), 1, None));
    let all = quarantine::retry(&world.url, &world.journal, &Which::Of(ORDERS)).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(list(&world).await, []);
    for number in 1..4 {
        let row = order(&world, number).await;
        assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 1, false));
    }
    let again = quarantine::retry(&world.url, &world.journal, &one).await;
    assert!(matches!(again, Err(Error::NotQuarantined { .. })), "{again:?}");
    assert_eq!(quarantine::retry(&world.url, &world.journal, &Which::All).await.unwrap(), []);
}

#[tokio::test]
async fn a_build_tries_a_stream_once_by_itself() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let [waiting] = list(&world).await.try_into().unwrap();
    let this_build = waiting.build.unwrap();
    world.execute("update orderstore.quarantine set error = 'not tried again'").await;

    let projector = world.projector();
    settled(&world, &projector).await;
    projector.stop().await;
    assert_eq!(list(&world).await[0].error, "not tried again");

    world.execute("update orderstore.quarantine set build = 'another of the same version'").await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let ask = async || list(&world).await.remove(0);
    let tried =
        eventually("tried", ask, |it| it.build.as_deref() == Some(this_build.as_str())).await;
    assert_ne!(tried.error, "not tried again");
}

#[tokio::test]
async fn many_streams_that_stay_stuck_do_not_hold_up_live_work() {
    let world = World::open().await;
    projector::migrate(&world.url).await.unwrap();
    // Streams with names that are not those of orders: none of them can ever be folded.
    world.execute(
        "insert into orderstore.quarantine (projection, generation, stream, revision, error, build) \
         select 'orders', 1, 'order-' || number, 0, 'unknown', 'older' \
         from generate_series(1, 3000) number",
    )
    .await;
    world.append(&order_stream(1), &[placed(1)]).await;
    let projector = world.projector();
    let status = until(&projector, ORDERS, |status| status.stats.events_applied > 0).await;
    assert_eq!(status.stats.events_applied, 1);
    let left =
        world.number("select count(*) from orderstore.quarantine where build = 'older'").await;
    assert!(left > 0, "all were tried first");
}

#[tokio::test]
async fn two_people_at_once_do_it_once() {
    let world = World::open().await;
    let projector = world.projector();
    a_stuck_stream(&world).await;
    settled(&world, &projector).await;
    let stream = order_stream(1);
    let outcomes = tokio::join!(
        skip(&world, ORDERS, &stream, 1),
        skip(&world, ORDERS, &stream, 1),
        quarantine::retry(&world.url, &world.journal, &Which::All),
        quarantine::retry(&world.url, &world.journal, &Which::All),
    );
    let skips = [outcomes.0, outcomes.1];
    assert_eq!(skips.iter().filter(|it| it.is_ok()).count(), 1, "{skips:?}");
    let late = skips.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(late, Error::NotQuarantined { .. }), "{late:?}");
    outcomes.2.unwrap();
    outcomes.3.unwrap();
    let row = order(&world, 1).await;
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 2, false));
    assert_eq!(list(&world).await, []);
}

fn authorised(number: u32) -> PaymentEvent {
    PaymentEvent::Authorised(PaymentAuthorised {
        order: order_id(number),
        amount: details(number).total,
        reference: reference("pay"),
        expires_at: None,
    })
}

fn failed(capture: u128, code: &str) -> Encoded {
    let capture = CaptureId(Uuid::from_u128(capture));
    PaymentEvent::CaptureFailed(PaymentCaptureFailed { capture, code: code.to_owned() }).encode()
}

/// One with a code that Postgres cannot keep.
fn unkeepable(capture: u128) -> Encoded {
    let whole = failed(capture, "CODE");
    let data = String::from_utf8(whole.data.to_vec()).unwrap().replace("CODE", "\\u0000");
    Encoded { data: data.into(), ..whole }
}

#[tokio::test]
async fn of_many_events_the_one_that_the_database_refuses_is_found() {
    let world = World::open().await;
    let stream = stream_of::<Payment>(&PaymentId::of(order_id(1)));
    let mut events = vec![authorised(1).encode()];
    events.extend((1..6).map(|capture| failed(capture, "declined")));
    events.push(unkeepable(6));
    events.extend((7..10).map(|capture| failed(capture, "declined")));
    world.append_encoded(&stream, events).await;
    let projector = world.projector();
    settled(&world, &projector).await;

    let [waiting] = list(&world).await.try_into().unwrap();
    assert_eq!((waiting.projection, waiting.revision, waiting.waiting), (PAYMENTS, 6, Some(3)));
    let served = "select count(*) from payments_g1.payments \
         where revision = 5 and quarantined and jsonb_array_length(movements) = 5";
    assert_eq!(world.number(served).await, 1);

    skip(&world, PAYMENTS, &stream, 6).await.unwrap();
    let served = "select count(*) from payments_g1.payments \
         where revision = 9 and not quarantined and jsonb_array_length(movements) = 8";
    assert_eq!(world.number(served).await, 1);
    projector.stop().await;
    let live = world.dump().await;
    let (journal, options) = (world.journal.clone(), Options::default());
    let rebuild = Rebuild::start(&world.url, journal, &[PAYMENTS], options).await.unwrap();
    rebuild.finish().await.unwrap();
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn an_order_that_is_stuck_behind_a_skipped_event_is_marked_in_its_timeline() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    settled(&world, &projector).await;
    skip(&world, ORDERS, &order_stream(1), 1).await.unwrap();
    let row = order(&world, 1).await;
    assert_eq!((row.revision, row.quarantined), (1, true));
    let timeline = world.reader().timeline(order_id(1).0, None, 10).await.unwrap();
    let marks: Vec<_> = timeline.iter().map(|it| (it.then.revision, it.quarantined)).collect();
    assert_eq!(marks, [(0, true)]);
    let time = timeline[0].then.recorded_at;
    let then = world.reader().orders_then(&OrderQuery::default(), time).await.unwrap();
    assert_eq!(then, timeline);
}

//! An event store that does not let us read is an operator's mistake. No stream is to blame for it.

use bytes::Bytes;
use projector::quarantine::{self, Waiting, Which};
use projector::read_model::OrderStatus;
use projector::{Error, ProjectionName, Projector, Sample, VerifyOptions, rebuild_stream, verify};
use schemas::Encoded;

use crate::continuity::skip_to;
use crate::history::{confirmed, order_id, order_stream, placed, shipped};
use crate::world::{World, settled, until};

const ORDERS: ProjectionName = ProjectionName::Orders;

const QUARANTINED: &str = "select count(*) from orderstore.quarantine";

fn is_denied<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::EventStore(journal::Error::AccessDenied { .. })))
}

#[tokio::test]
async fn who_may_not_read_a_stream_heals_nothing_and_leaves_its_rows() {
    let world = World::open_guarded().await;
    let projector = world.projector();
    for number in 1..4 {
        world.append(&order_stream(number), &[placed(number)]).await;
    }
    settled(&world, &projector).await;
    let right = world.dump().await;
    world.execute("update orders_g1.orders set total_minor = total_minor + 1").await;
    let wrong = world.dump().await;
    world.let_read(order_stream(2).as_str(), "$admins").await;

    let sample = Sample::Share(1.0);
    let heal = VerifyOptions { sample, heal: true, ..VerifyOptions::default() };
    let journal = world.journal_of_ops();
    assert!(is_denied(&verify(&world.url, journal.clone(), &[ORDERS], heal.clone()).await));
    assert!(is_denied(&rebuild_stream(&world.url, journal, &order_stream(2)).await));
    assert_eq!(world.dump().await, wrong);
    assert_eq!(world.number(QUARANTINED).await, 0);

    let healed = verify(&world.url, world.journal.clone(), &[ORDERS], heal).await.unwrap();
    assert_eq!((healed[0].drifted, healed[0].healed), (3, 3));
    assert_eq!(world.dump().await, right);
}

#[tokio::test]
async fn a_stream_that_waits_goes_on_waiting_for_the_same_reason_when_it_may_not_be_read() {
    let world = World::open_guarded().await;
    let projector = world.projector();
    let stream = order_stream(1);
    world.append(&stream, &[placed(1)]).await;
    let data = Bytes::from_static(b"{}");
    let unknown = Encoded { event_type: "order-teleported", version: 1, data };
    world.append_encoded(&stream, vec![unknown]).await;
    settled(&world, &projector).await;
    let list =
        async || -> Vec<Waiting> { quarantine::list(&world.url, &world.journal).await.unwrap() };
    let before = list().await;
    assert_eq!(before.len(), 1);

    world.let_read(stream.as_str(), "$admins").await;
    let journal = world.journal_of_ops();
    let one = Which::One(ORDERS, stream.clone());
    assert!(is_denied(&quarantine::retry(&world.url, &journal, &one).await));
    assert!(is_denied(&quarantine::list(&world.url, &journal).await));
    assert!(is_denied(&quarantine::show(&world.url, &journal, ORDERS, &stream).await));
    assert_eq!(list().await, before);
}

#[tokio::test]
async fn a_worker_that_may_not_read_a_stream_says_so_and_goes_on_when_it_may() {
    let world = World::open_guarded().await;
    let projector = world.projector();
    let stream = order_stream(1);
    world.append(&stream, &[placed(1)]).await;
    settled(&world, &projector).await;
    projector.stop().await;

    // What the worker does not hear of has to be read from the stream.
    let unheard = world.append(&stream, &[confirmed()]).await;
    skip_to(&world, unheard).await;
    world.append(&stream, &[shipped()]).await;
    world.let_read("$all", "ops").await;
    world.let_read(stream.as_str(), "$admins").await;
    let journal = world.journal_of_ops();
    let projector = Projector::start(&world.url, journal, World::options()).unwrap();
    let is_told = |error: &Option<String>| error.as_ref().is_some_and(|it| it.contains("denied"));
    let status = until(&projector, ORDERS, |status| is_told(&status.last_error)).await;
    let told = status.last_error.unwrap();
    assert!(told.contains("check the credentials in --event-store"), "{told}");
    assert_eq!(world.number(QUARANTINED).await, 0);

    world.let_read(stream.as_str(), "ops").await;
    settled(&world, &projector).await;
    let row = world.reader().order(order_id(1).0).await.unwrap().unwrap();
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 2, false));
    assert_eq!(world.number(QUARANTINED).await, 0);
}

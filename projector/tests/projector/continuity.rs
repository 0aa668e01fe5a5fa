//! Every event once, in order, whatever is delivered; and what happens to those that cannot be
//! folded.

use bytes::Bytes;
use projector::ProjectionName;
use projector::read_model::{OrderFulfilmentStatus, OrderStatus};
use schemas::{Encoded, StoredEvent};

use crate::history::{confirmed, order_id, order_stream, placed, shipped};
use crate::world::{World, settled, until};

const ORDERS: ProjectionName = ProjectionName::Orders;

#[tokio::test]
async fn events_that_come_again_are_dropped() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..20).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let before = world.dump().await;
    world
        .execute("update orderstore.checkpoints set commit_position = 0, prepare_position = 0")
        .await;

    let projector = world.projector();
    settled(&world, &projector).await;
    let stats = projector.watch(ORDERS).borrow().stats;
    assert_eq!((stats.events_applied, stats.gaps_healed), (0, 0));
    assert_eq!(stats.duplicates_dropped, 20 + 5 + 5 * 3);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn events_that_were_skipped_are_read_from_their_stream_and_counted() {
    let world = World::open().await;
    let projector = world.projector();
    let stream = order_stream(1);
    world.append(&stream, &[placed(1)]).await;
    settled(&world, &projector).await;
    projector.stop().await;

    let at = world.append(&stream, &[confirmed()]).await;
    skip_to(&world, at).await;
    world.append(&stream, &[shipped()]).await;
    let projector = world.projector();
    settled(&world, &projector).await;

    let stats = projector.watch(ORDERS).borrow().stats;
    assert_eq!((stats.gaps_healed, stats.events_applied), (1, 2));
    let row = world.reader().order(order_id(1).0).await.unwrap().unwrap();
    assert_eq!((row.fulfilment_status, row.revision), (OrderFulfilmentStatus::Shipped, 2));
}

#[tokio::test]
async fn a_stream_whose_beginning_was_skipped_is_read_from_its_beginning() {
    let world = World::open().await;
    projector::migrate(&world.url).await.unwrap();
    let at = world.append(&order_stream(1), &[placed(1), confirmed()]).await;
    skip_to(&world, at).await;
    world.append(&order_stream(1), &[shipped()]).await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let row = world.reader().order(order_id(1).0).await.unwrap().unwrap();
    assert_eq!((row.fulfilment_status, row.revision), (OrderFulfilmentStatus::Shipped, 2));
    assert_eq!(world.reader().lines_of(&[row.id]).await.unwrap().len(), 2);
}

pub(crate) async fn skip_to(world: &World, position: journal::Position) {
    let (commit, prepare) = position.to_signed().unwrap();
    let mut connection = world.connection().await;
    let skip = "update orderstore.checkpoints set commit_position = $1, prepare_position = $2";
    sqlx::query(skip).bind(commit).bind(prepare).execute(&mut connection).await.unwrap();
}

/// An event that a newer build has written.
fn from_the_future() -> Encoded {
    Encoded { event_type: "order-teleported", version: 1, data: Bytes::from_static(b"{}") }
}

/// An order with a title that Postgres cannot keep.
fn unwritable(number: u32) -> Encoded {
    let whole = placed(number).encode();
    let data = String::from_utf8(whole.data.to_vec()).unwrap().replace("Thing", "\\u0000Thing");
    Encoded { data: data.into(), ..whole }
}

#[tokio::test]
async fn one_bad_event_quarantines_one_stream() {
    let world = World::open().await;
    let projector = world.projector();
    let (future, first, refused, good) =
        (order_stream(1), order_stream(2), order_stream(3), order_stream(4));
    world.append(&future, &[placed(1)]).await;
    world.append_encoded(&future, vec![from_the_future()]).await;
    world.append(&future, &[confirmed()]).await;
    world.append(&first, &[confirmed(), shipped()]).await;
    world.append(&good, &[placed(4)]).await;
    world.append_encoded(&refused, vec![unwritable(3)]).await;
    world.append(&refused, &[confirmed()]).await;
    world.append(&good, &[confirmed()]).await;
    settled(&world, &projector).await;

    let reader = world.reader();
    let row = reader.order(order_id(1).0).await.unwrap().unwrap();
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Pending, 0, true));
    assert_eq!(reader.order(order_id(2).0).await.unwrap(), None);
    assert_eq!(reader.order(order_id(3).0).await.unwrap(), None);
    let row = reader.order(order_id(4).0).await.unwrap().unwrap();
    assert_eq!((row.status, row.revision, row.quarantined), (OrderStatus::Confirmed, 1, false));

    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let orders = all.iter().find(|status| status.projection == ORDERS).unwrap();
    let mut stuck: Vec<_> =
        orders.quarantined.iter().map(|q| (q.stream.as_str(), q.revision)).collect();
    stuck.sort_unstable_by_key(|(stream, _)| *stream);
    let mut wanted = [(future.as_str(), 1), (first.as_str(), 0), (refused.as_str(), 0)];
    wanted.sort_unstable_by_key(|(stream, _)| *stream);
    assert_eq!(stuck, wanted);
    assert_eq!(projector.watch(ORDERS).borrow().stats.streams_quarantined, 3);
}

#[tokio::test]
async fn a_quarantined_stream_is_the_same_after_a_replay() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    settled(&world, &projector).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    world.append_encoded(&order_stream(3), vec![unwritable(3)]).await;
    world.trade(10..15).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let live = world.dump().await;
    world.drop_database().await;
    world.create_database().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, live);
}

const TABLES_OF_ORDERS: [&str; 7] = [
    "orders",
    "order_lines",
    "order_timeline",
    "returns",
    "fulfilment_orders",
    "customers",
    "sales_by_day",
];

#[tokio::test]
async fn what_an_older_build_could_not_fold_is_folded_by_the_next_start() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    settled(&world, &projector).await;
    for table in TABLES_OF_ORDERS {
        world.keep(table).await;
    }
    world.append(&order_stream(1), &[confirmed()]).await;
    world.append(&order_stream(2), &[placed(2)]).await;
    settled(&world, &projector).await;
    world.append(&order_stream(1), &[shipped()]).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let healthy = world.dump().await;

    // As a build would have left it that does not know `order-confirmed`, nor how orders begin.
    world
        .execute(
            "insert into orderstore.quarantine (projection, generation, stream, revision, error) \
         select 'orders', 1, 'order-' || id, case when revision = 2 then 1 else 0 end, 'unknown' \
         from orders_g1.orders",
        )
        .await;
    for table in TABLES_OF_ORDERS {
        world.restore(table).await;
    }
    world.execute("update orders_g1.orders set quarantined = true").await;

    let projector = world.projector();
    settled(&world, &projector).await;
    until(&projector, ORDERS, |status| status.stats.events_applied == 3).await;
    assert_eq!(world.dump().await, healthy);
    assert_eq!(world.number("select count(*) from orderstore.quarantine").await, 0);
}

#[tokio::test]
async fn what_still_cannot_be_folded_stays_quarantined_at_the_next_start() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    world.append_encoded(&order_stream(3), vec![unwritable(3)]).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let before = world.dump().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[confirmed()]).await;
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, before);
}

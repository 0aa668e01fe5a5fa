//! Rows that are not what their events make them are found, named and folded again.

use std::collections::BTreeSet;

use domain::order::Order;
use journal::Journal;
use projector::quarantine::{Which, retry};
use projector::{
    Error, ProjectionName, Projector, Sample, StreamOutcome, Verification, VerifyOptions,
    VerifyProgress, rebuild_stream, verify,
};
use schemas::{StreamName, stream_of};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::history::{cancelled, confirmed, order_id, order_stream, placed, stock_stream};
use crate::world::{World, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;
const STOCK: ProjectionName = ProjectionName::StockLevels;

fn everything() -> VerifyOptions {
    VerifyOptions { sample: Sample::All, ..VerifyOptions::default() }
}

async fn verified(world: &World, name: ProjectionName, options: VerifyOptions) -> Verification {
    let journal: Journal = world.journal.clone();
    verify(&world.url, journal, &[name], options).await.unwrap().pop().unwrap()
}

/// Meddles with the rows of an order.
async fn meddle(world: &World, statement: &str, number: u32) {
    let statement = statement.replace("$id", &format!("'{}'", order_id(number).0));
    let mut connection = world.connection().await;
    let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await;
    assert!(done.unwrap().rows_affected() > 0, "{statement}");
}

async fn traded(orders: std::ops::Range<u32>) -> (World, Projector) {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(orders).await;
    settled(&world, &projector).await;
    (world, projector)
}

fn names(verification: &Verification) -> BTreeSet<String> {
    verification.drifts.iter().map(|drift| drift.stream.clone()).collect()
}

#[tokio::test]
async fn what_the_projector_keeps_is_what_the_events_make_it() {
    let (world, projector) = traded(0..24).await;
    // One that waits, and one that never got a row.
    world.append(&order_stream(1), &[placed(1)]).await;
    world.append(&order_stream(100), &[confirmed()]).await;
    settled(&world, &projector).await;
    for name in ProjectionName::ALL {
        let verification = verified(&world, name, everything()).await;
        assert!(verification.is_clean() && verification.streams > 0, "{verification}");
        assert_eq!(verification.unverifiable, 0);
    }
    let orders = verified(&world, ORDERS, everything()).await;
    assert_eq!(orders.streams, 25);
}

#[tokio::test]
async fn a_stream_whose_rows_were_changed_is_named_and_healed() {
    let (world, projector) = traded(0..24).await;
    let before = world.dump().await;
    let nobody = Uuid::from_u128(77);
    let meddling = [
        (3, "update orders_g1.orders set total_minor = total_minor + 1 where id = $id"),
        (4, "delete from orders_g1.order_lines where order_id = $id and line = 1"),
        (
            6,
            "create table public.extra as select * from orders_g1.order_lines \
             where order_id = $id and line = 1; update public.extra set line = 7; \
             insert into orders_g1.order_lines select * from public.extra",
        ),
        (8, "update orders_g1.orders set revision = revision + 1 where id = $id"),
        (12, "update orders_g1.orders set revision = revision - 1 where id = $id"),
        (13, "delete from orders_g1.orders where id = $id"),
        (
            14,
            "delete from orders_g1.order_lines where order_id = $id; \
             delete from orders_g1.order_timeline where order_id = $id; \
             delete from orders_g1.orders where id = $id",
        ),
        (16, "update orders_g1.orders set quarantined = true where id = $id"),
        (17, "update orders_g1.order_timeline set actor = 'nobody' where order_id = $id"),
        (18, "update orders_g1.orders set details = '{}' where id = $id"),
    ];
    for (number, statement) in meddling {
        meddle(&world, statement, number).await;
    }
    let orphan = "insert into orders_g1.order_lines select * from public.extra";
    meddle(&world, &format!("update public.extra set order_id = '{nobody}'; {orphan}"), 0).await;

    let mut wanted: BTreeSet<String> =
        meddling.iter().map(|(number, _)| order_stream(*number).to_string()).collect();
    wanted.insert(stream_of::<Order>(&domain::ids::OrderId(nobody)).to_string());
    let found = verified(&world, ORDERS, everything()).await;
    assert_eq!(names(&found), wanted, "{found}");
    assert_eq!((found.drifted, found.healed), (wanted.len() as u64, 0));
    let of = |number| {
        let stream = order_stream(number).to_string();
        found.drifts.iter().find(|drift| drift.stream == stream).unwrap().tables.join(" ")
    };
    assert_eq!((of(3).as_str(), of(4).as_str()), ("orders", "order_lines"));
    assert!(of(14).contains("orders") && of(14).contains("order_lines"));
    let orders = found.tables.iter().find(|table| table.table == "orders").unwrap();
    assert_eq!((orders.added, orders.removed, orders.columns["total_minor"]), (2, 0, 1));
    assert_eq!((orders.columns["revision"], orders.columns["quarantined"]), (2, 1));

    let healed = verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert_eq!((healed.drifted, healed.healed), (wanted.len() as u64, wanted.len() as u64));
    assert_eq!(world.dump().await, before);
    assert!(verified(&world, ORDERS, everything()).await.is_clean());
    assert_eq!(
        world
            .number("select streams from orderstore.verifications where projection = 'orders'")
            .await,
        24
    );

    // And life goes on.
    world.append(&order_stream(6), &[cancelled()]).await;
    settled(&world, &projector).await;
    assert!(verified(&world, ORDERS, everything()).await.is_clean());
}

#[tokio::test]
async fn an_event_that_never_came_is_noticed() {
    let (world, projector) = traded(0..4).await;
    world.keep("orders").await;
    world.append(&order_stream(2), &[confirmed()]).await;
    settled(&world, &projector).await;
    let after = world.dump().await;
    world.restore("orders").await;
    let found = verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert_eq!(names(&found), [order_stream(2).to_string()].into(), "{found}");
    assert_eq!(world.dump().await, after);
}

#[tokio::test]
async fn wrong_sums_are_added_up_again() {
    let (world, _projector) = traded(0..24).await;
    let before = world.dump().await;
    world.execute("update orders_g1.customers set spent_minor = 1, orders = 99").await;
    world.execute("delete from orders_g1.sales_by_day where sku = 'POST'").await;
    let found = verified(&world, ORDERS, everything()).await;
    assert!(found.drifted == 0 && found.sums_differing() > 2, "{found}");
    let customers = found.sums.iter().find(|table| table.table == "customers").unwrap();
    assert_eq!(customers.columns["orders"], customers.rows_blue);
    let sample = VerifyOptions { sample: Sample::Share(1.0), ..VerifyOptions::default() };
    assert_eq!(verified(&world, ORDERS, sample).await.sums, [], "a sample has no sums");

    verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn wrong_history_is_named_and_healed() {
    let (world, _projector) = traded(0..24).await;
    let before = world.dump().await;
    world
        .execute("update stock_levels_g1.stock_movements set on_hand = 5 where sku = 'SKU-03'")
        .await;
    world.execute("delete from stock_levels_g1.stock_movements where sku = 'SKU-04'").await;
    world
        .execute("update stock_levels_g1.stock_locations set reserved = 9 where sku = 'SKU-05'")
        .await;
    let found = verified(&world, STOCK, VerifyOptions { heal: true, ..everything() }).await;
    let wanted = [3, 4, 5].map(|number| stock_stream(number).to_string());
    assert_eq!(names(&found), wanted.into(), "{found}");
    let movements = found.tables.iter().find(|table| table.table == "stock_movements").unwrap();
    let sample = movements.samples.iter().find(|sample| sample.columns.contains_key("on_hand"));
    let sample = sample.unwrap();
    let told = sample.event.as_ref().unwrap();
    assert_eq!((told.event_type.as_str(), told.revision), ("stock-received", 0));
    assert_eq!(sample.columns["on_hand"].blue, 5);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn long_streams_are_folded_in_portions() {
    let world = World::open().await;
    let projector = world.projector();
    for portion in 0..6 {
        let events: Vec<_> =
            (0..1_000).map(|unit| crate::history::received(portion * 1_000 + unit, 1)).collect();
        world.append(&stock_stream(1), &events).await;
    }
    settled(&world, &projector).await;
    assert!(verified(&world, STOCK, everything()).await.is_clean());
    world
        .execute(
            "update stock_levels_g1.stock_movements set on_hand = 2 where revision in (1, 5500)",
        )
        .await;
    let before =
        world.number("select sum(on_hand)::bigint from stock_levels_g1.stock_movements").await;
    let found = verified(&world, STOCK, VerifyOptions { heal: true, ..everything() }).await;
    let movements = found.tables.iter().find(|table| table.table == "stock_movements").unwrap();
    assert_eq!((movements.changed, movements.differing()), (2, 2), "{found}");
    let after =
        world.number("select sum(on_hand)::bigint from stock_levels_g1.stock_movements").await;
    assert_eq!(after, before - 2);
}

#[tokio::test]
async fn live_traffic_gives_no_false_alarm() {
    let (world, projector) = traded(0..8).await;
    let trading = async {
        for number in 8..48 {
            world.trade(number..number + 1).await;
        }
    };
    let verifying = async {
        for _ in 0..3 {
            let all = ProjectionName::ALL;
            let options = VerifyOptions { heal: true, ..everything() };
            let found = verify(&world.url, world.journal.clone(), &all, options).await.unwrap();
            for one in found {
                assert!(one.is_clean(), "{one}");
            }
        }
    };
    tokio::join!(trading, verifying);
    settled(&world, &projector).await;
    let live = world.dump().await;
    projector.stop().await;
    world.drop_database().await;
    world.create_database().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn healing_under_traffic_ends_in_the_same_rows() {
    let (world, projector) = traded(0..8).await;
    let trading = async {
        for number in 8..40 {
            world.trade(number..number + 1).await;
        }
    };
    let healing = async {
        for number in [0, 1, 2, 3, 4, 5, 6, 7].repeat(4) {
            meddle(&world, "update orders_g1.orders set total_minor = 1 where id = $id", number)
                .await;
            let stream = order_stream(number);
            rebuild_stream(&world.url, world.journal.clone(), &stream).await.unwrap();
        }
    };
    tokio::join!(trading, healing);
    settled(&world, &projector).await;
    for name in ProjectionName::ALL {
        let found = verified(&world, name, everything()).await;
        assert!(found.is_clean(), "{found}");
    }
}

#[tokio::test]
async fn a_sample_is_the_same_for_the_same_seed() {
    let (world, _projector) = traded(0..40).await;
    let sample = |seed| VerifyOptions { sample: Sample::Share(0.5), seed, ..Default::default() };
    let streams = async |options| verified(&world, ORDERS, options).await.streams;
    let first = streams(sample(1)).await;
    assert!((8..=32).contains(&first), "{first}");
    assert_eq!(streams(sample(1)).await, first);
    assert_eq!(streams(VerifyOptions { limit: Some(3), ..sample(1) }).await, 3);
    assert_eq!(streams(VerifyOptions { sample: Sample::Share(0.0), ..sample(1) }).await, 0);
    let (progress, told) = tokio::sync::watch::channel(VerifyProgress::default());
    streams(VerifyOptions { progress: Some(progress), ..sample(1) }).await;
    assert_eq!(told.borrow().streams, first);
}

async fn rebuilt(world: &World, stream: &StreamName) -> Vec<StreamOutcome> {
    let all = rebuild_stream(&world.url, world.journal.clone(), stream).await.unwrap();
    all.into_iter().map(|one| one.outcome).collect()
}

#[tokio::test]
async fn one_stream_is_folded_again_alone() {
    let (world, projector) = traded(0..8).await;
    let before = world.dump().await;
    meddle(&world, "delete from orders_g1.orders where id = $id", 4).await;
    meddle(&world, "update orders_g1.orders set total_minor = 1 where id = $id", 3).await;
    assert_eq!(rebuilt(&world, &order_stream(4)).await, [StreamOutcome::Rebuilt { events: 4 }]);
    assert_ne!(world.dump().await, before, "the other one is left alone");
    assert_eq!(rebuilt(&world, &order_stream(3)).await, [StreamOutcome::Rebuilt { events: 1 }]);
    assert_eq!(world.dump().await, before);

    // It waits as it did before.
    world.append(&order_stream(3), &[placed(3), confirmed()]).await;
    settled(&world, &projector).await;
    let before = world.dump().await;
    let again = rebuilt(&world, &order_stream(3)).await;
    assert!(matches!(again[..], [StreamOutcome::Quarantined { revision: 1, .. }]), "{again:?}");
    assert_eq!(world.dump().await, before);
    let nonsense: StreamName = "nonsense-1".parse().unwrap();
    let error = rebuild_stream(&world.url, world.journal.clone(), &nonsense).await;
    assert!(matches!(error, Err(projector::Error::NoProjection { .. })), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_was_deleted_loses_its_rows() {
    let (world, _projector) = traded(0..8).await;
    let before = world.dump().await;
    world.journal.delete_stream(&order_stream(3), 0).await.unwrap();
    let found = verified(&world, ORDERS, everything()).await;
    assert_eq!(names(&found), [order_stream(3).to_string()].into(), "{found}");
    assert_eq!(rebuilt(&world, &order_stream(3)).await, [StreamOutcome::Gone]);
    assert!(verified(&world, ORDERS, everything()).await.is_clean());
    let id = order_id(3).0.to_string();
    let after = world.dump().await;
    assert!(before.iter().any(|row| row.contains(&id)));
    assert!(!after.iter().any(|row| row.starts_with("order") && row.contains(&id)));
}

/// What is told of `orders` by whoever watches over it: streams that have drifted, rows of sums.
async fn outstanding(world: &World) -> (i64, Option<i64>) {
    let slices = world.reader().slices().await.unwrap();
    let slice = slices.iter().find(|slice| slice.projection == ORDERS).unwrap();
    let verified = slice.verified.unwrap();
    (verified.drifted, verified.sums_differing)
}

#[tokio::test]
async fn what_was_found_is_told_until_it_is_healed() {
    let (world, _projector) = traded(0..8).await;
    world.execute("update orders_g1.customers set orders = 99").await;
    meddle(&world, "update orders_g1.orders set total_minor = 0 where id = $id", 3).await;
    let found = verified(&world, ORDERS, everything()).await;
    let wrong = found.sums_differing();
    assert!(wrong > 0 && !found.sums_healed);
    assert_eq!(outstanding(&world).await, (1, Some(wrong.cast_signed())));

    // A sample without that order has nothing to say of it.
    let nothing = VerifyOptions { sample: Sample::Share(0.0), ..VerifyOptions::default() };
    assert_eq!(verified(&world, ORDERS, nothing.clone()).await.streams, 0);
    assert_eq!(outstanding(&world).await, (1, Some(wrong.cast_signed())));

    let healed = verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert_eq!((healed.drifted, healed.healed), (1, 1));
    assert_eq!(outstanding(&world).await, (0, Some(0)));

    // What a sample has found is not forgotten by the next one.
    meddle(&world, "update orders_g1.orders set total_minor = 0 where id = $id", 4).await;
    let all = VerifyOptions { sample: Sample::Share(1.0), ..VerifyOptions::default() };
    assert_eq!(verified(&world, ORDERS, all.clone()).await.drifted, 1);
    verified(&world, ORDERS, nothing).await;
    assert_eq!(outstanding(&world).await, (1, Some(0)));
    verified(&world, ORDERS, VerifyOptions { heal: true, ..all }).await;
    assert_eq!(outstanding(&world).await, (0, Some(0)));
}

#[tokio::test]
async fn sums_that_were_healed_are_told_to_be_right() {
    let (world, _projector) = traded(0..4).await;
    world.execute("update orders_g1.customers set orders = 99").await;
    let healed = verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert!(healed.sums_healed && healed.sums_differing() > 0, "{healed}");
    assert_eq!(outstanding(&world).await, (0, Some(0)));
}

#[tokio::test]
async fn a_row_that_no_stream_can_make_is_drift() {
    let (world, _projector) = traded(0..8).await;
    for statement in [
        "create table public.extra as select * from stock_levels_g1.stock_levels limit 1",
        "update public.extra set sku = ''",
        "insert into stock_levels_g1.stock_levels select * from public.extra",
    ] {
        world.execute(statement).await;
    }
    let found = verified(&world, STOCK, everything()).await;
    assert_eq!((found.drifted, found.is_clean()), (1, false), "{found}");
    assert_eq!(names(&found), ["stock-".to_owned()].into());
}

#[tokio::test]
#[ignore = "waits half a minute for a lock"]
async fn a_lock_in_the_way_of_healing_leaves_the_rest_to_be_looked_at() {
    let (world, _projector) = traded(0..8).await;
    meddle(&world, "update orders_g1.orders set total_minor = 0 where id = $id", 3).await;
    let mut other = world.connection().await;
    sqlx::raw_sql("begin; lock table orders_g1.order_lines in exclusive mode")
        .execute(&mut other)
        .await
        .unwrap();
    let found = verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert_eq!((found.streams, found.drifted, found.healed), (8, 1, 0), "{found}");
    assert!(found.not_healed.is_some());
    assert_eq!(outstanding(&world).await.0, 1);
}

#[tokio::test]
async fn a_stream_alone_moves_sums_by_what_its_rows_said() {
    let (world, _projector) = traded(0..8).await;
    let before = world.dump().await;
    world.execute("update orders_g1.customers set spent_minor = spent_minor + 7").await;
    let wrong = world.dump().await;
    meddle(&world, "update orders_g1.orders set total_minor = 1 where id = $id", 4).await;
    assert_eq!(rebuilt(&world, &order_stream(4)).await, [StreamOutcome::Rebuilt { events: 4 }]);
    assert_eq!(world.dump().await, wrong, "sums of others are left alone");
    verified(&world, ORDERS, VerifyOptions { heal: true, ..everything() }).await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn rows_of_a_name_that_no_aggregate_has_go() {
    let (world, _projector) = traded(0..8).await;
    let before = world.dump().await;
    world
        .execute(
            "insert into stock_levels_g1.stock_movements \
             select (jsonb_populate_record(m, '{\"sku\": \"no  sku \"}')).* \
             from stock_levels_g1.stock_movements m limit 1",
        )
        .await;
    let stream: StreamName = "stock-no  sku ".parse().unwrap();
    assert_eq!(rebuilt(&world, &stream).await, [StreamOutcome::Gone]);
    assert_eq!(world.dump().await, before);
}

/// Why the rows of a world are not made anew from the log of another one: all orders, one of them
/// alone, and one that is said to be stuck.
async fn healing_by(world: &World, other: &World, stream: &StreamName) -> [Option<Error>; 3] {
    let journal = || other.journal.clone();
    let heal = VerifyOptions { heal: true, ..everything() };
    let stuck = Which::One(ORDERS, stream.clone());
    [
        verify(&world.url, journal(), &[ORDERS], heal).await.err(),
        rebuild_stream(&world.url, journal(), stream).await.err(),
        retry(&world.url, &journal(), &stuck).await.err(),
    ]
}

#[tokio::test]
async fn a_longer_log_that_has_none_of_the_streams_is_not_believed_either() {
    let (world, projector) = traded(0..3).await;
    projector.stop().await;
    let before = world.dump().await;
    let other = World::open().await;
    other.trade(10..30).await;
    let stream = order_stream(1);

    for refused in healing_by(&world, &other, &stream).await {
        assert!(matches!(refused, Some(Error::UnrelatedLog { streams: 3, .. })), "{refused:?}");
    }
    assert_eq!(world.dump().await, before);

    // One of them is enough to be looked at, and to be made what it is there.
    other.trade(2..3).await;
    let [verified, ..] = healing_by(&world, &other, &stream).await;
    assert!(verified.is_none() && world.dump().await != before, "{verified:?}");
}

#[tokio::test]
async fn a_log_that_ends_before_the_rows_is_not_believed() {
    let (world, projector) = traded(0..3).await;
    projector.stop().await;
    let before = world.dump().await;
    // Somebody has mistaken the address.
    let other = World::open().await;
    let stream = order_stream(1);

    for refused in healing_by(&world, &other, &stream).await {
        assert!(matches!(refused, Some(Error::AnotherLog { .. })), "{refused:?}");
    }
    for (journal, is_ahead) in [(other.journal.clone(), true), (world.journal.clone(), false)] {
        let all = projector::status(&world.url, &journal).await.unwrap();
        assert!(all.iter().all(|it| it.ahead_of_log.is_some() == is_ahead), "{all:?}");
    }
    assert_eq!(world.dump().await, before);
}

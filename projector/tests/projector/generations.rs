//! Generations: set up, rebuilt beside the live one, promoted, dropped.

use std::collections::BTreeSet;

use projector::read_model::{OrderQuery, OrderSort};
use projector::{Error, GenerationState, Options, ProjectionName, Rebuild, Role};
use tokio_util::sync::CancellationToken;

use crate::history::{order_id, order_stream, placed};
use crate::world::{World, eventually, settled, until};

const ORDERS: ProjectionName = ProjectionName::Orders;
const REPLACED: [(i64, GenerationState); 2] =
    [(1, GenerationState::Previous), (2, GenerationState::Live)];

async fn generations(world: &World, name: ProjectionName) -> Vec<(i64, GenerationState)> {
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let of_this = all.into_iter().filter(|status| status.projection == name);
    of_this.map(|status| (status.generation, status.state)).collect()
}

async fn schemas(world: &World) -> BTreeSet<String> {
    let mut connection = world.connection().await;
    let names: Vec<String> = sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname like '%\\_g%' and nspname not like 'pg%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    names.into_iter().collect()
}

#[tokio::test]
async fn setting_up_many_times_at_once_is_setting_up_once() {
    let world = World::open().await;
    let all = (0..8).map(|_| projector::migrate(&world.url));
    for outcome in futures::future::join_all(all).await {
        outcome.unwrap();
    }
    projector::migrate(&world.url).await.unwrap();
    for name in ProjectionName::ALL {
        assert_eq!(generations(&world, name).await, [(1, GenerationState::Live)]);
    }
    world.open_to_readers().await;
    assert_eq!(world.reader().orders(&OrderQuery::default()).await.unwrap(), []);
}

#[tokio::test]
async fn readers_notice_nothing_of_a_rebuild_under_load() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..40).await;
    settled(&world, &projector).await;

    let done = CancellationToken::new();
    let reading = async {
        let reader = world.reader();
        let mut reads = 0;
        let mut most = 40;
        let mut position = reader.freshness(ORDERS).await.unwrap().position;
        while !done.is_cancelled() {
            let query = OrderQuery { limit: 10_000, ..OrderQuery::default() };
            let rows = reader.orders(&query).await.unwrap();
            assert!(rows.len() >= most, "{} orders after {most}", rows.len());
            most = rows.len();
            let lines = reader.lines_of(&[order_id(3).0]).await.unwrap();
            assert_eq!(lines.len(), 2);
            let now = reader.freshness(ORDERS).await.unwrap().position;
            assert!(now >= position, "{now} after {position}");
            position = now;
            reads += 1;
        }
        reads
    };
    let writing = async {
        let mut number = 100;
        while !done.is_cancelled() {
            world.trade(number..number + 1).await;
            number += 1;
        }
    };
    let rebuilding = async {
        for round in 1..=3 {
            let journal = world.journal.clone();
            let all = ProjectionName::ALL;
            let rebuild =
                Rebuild::start(&world.url, journal, &all, World::options()).await.unwrap();
            let done = rebuild.finish().await.unwrap();
            assert_eq!(done.projections.len(), 6);
            let are_new = done.projections.iter().all(|one| one.generation == round + 1);
            assert!(are_new, "{done:?}");
        }
        done.cancel();
    };
    let (reads, (), ()) = tokio::join!(reading, writing, rebuilding);
    assert!(reads > 10);

    settled(&world, &projector).await;
    assert_eq!(projector.watch(ORDERS).borrow().generation, Some(4));
    projector.stop().await;
    let rebuilt = world.dump().await;
    world.drop_database().await;
    world.create_database().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, rebuilt);
}

#[tokio::test]
async fn a_rebuild_of_one_projection_leaves_the_others_alone() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..8).await;
    settled(&world, &projector).await;
    let before = world.dump().await;
    let rebuild =
        Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
    let done = rebuild.unwrap().finish().await.unwrap().projections;
    assert_eq!((done.len(), done[0].projection, done[0].generation), (1, ORDERS, 2));
    assert_eq!(done[0].events, 8 + 2 + 2 * 3);
    assert_eq!(generations(&world, ORDERS).await, REPLACED);
    assert_eq!(generations(&world, ProjectionName::Payments).await, [(1, GenerationState::Live)]);
    assert_eq!(world.dump().await, before);

    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    world.append(&order_stream(90), &[placed(90)]).await;
    settled(&world, &projector).await;
    assert!(world.reader().order(order_id(90).0).await.unwrap().is_some());
}

#[tokio::test]
async fn a_rebuild_needs_no_running_projector() {
    let world = World::open().await;
    world.trade(0..8).await;
    let all = ProjectionName::ALL;
    let rebuild = Rebuild::start(&world.url, world.journal.clone(), &all, World::options()).await;
    let rebuild = rebuild.unwrap();
    let is_done = || async { rebuild.is_finished() };
    eventually("built", is_done, |done| *done).await;
    let progress = rebuild.progress();
    assert!(progress.projections.iter().all(|it| it.promoted), "{progress:?}");
    assert!(progress.position >= progress.head, "{progress:?}");
    assert!(progress.done() >= 1.0 && progress.last_error.is_none(), "{progress:?}");
    rebuild.finish().await.unwrap();
    let query = OrderQuery { sort: OrderSort::Total, ..OrderQuery::default() };
    assert_eq!(world.reader().orders(&query).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_half_built_generation_is_finished_by_a_running_projector() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..8).await;
    settled(&world, &projector).await;
    let before = world.dump().await;
    let rebuild =
        Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
    drop(rebuild.unwrap());
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    settled(&world, &projector).await;
    let ask = || generations(&world, ORDERS);
    eventually("replaced", ask, |all| all[..] == REPLACED).await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn what_a_killed_process_was_building_is_finished_by_the_next_one() {
    let world = World::open().await;
    world.trade(0..4).await;
    projector::migrate(&world.url).await.unwrap();
    world
        .execute("update orderstore.projections set version = version - 1 where name = 'orders'")
        .await;
    projector::migrate(&world.url).await.unwrap();
    assert_eq!(
        generations(&world, ORDERS).await,
        [(1, GenerationState::Live), (2, GenerationState::Building)]
    );
    // It showed a sign of life just now.
    world
        .execute(
            "update orderstore.checkpoints set updated_at = clock_timestamp(), \
         holder = 'ffffffff-0000-0000-0000-000000000000' where generation = 2",
        )
        .await;
    let projector = world.projector();
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    settled(&world, &projector).await;
    assert_eq!(world.number("select count(*) from read_model.orders").await, 4);
}

#[tokio::test]
async fn a_half_built_generation_is_dropped_by_the_next_rebuild() {
    let world = World::open().await;
    world.trade(0..8).await;
    projector::migrate(&world.url).await.unwrap();
    half_build(&world).await;
    let rebuild =
        Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
    rebuild.unwrap().finish().await.unwrap();
    assert_eq!(
        generations(&world, ORDERS).await,
        [(1, GenerationState::Previous), (3, GenerationState::Live)]
    );
    let schemas = schemas(&world).await;
    assert!(schemas.contains("orders_g3") && !schemas.contains("orders_g2"), "{schemas:?}");
}

/// Generation 2 of orders, with garbage in it, and nobody who works on it.
async fn half_build(world: &World) {
    world
        .execute(
            "insert into orderstore.projections (name, generation, version, state) \
         values ('orders', 2, 1, 'building')",
        )
        .await;
    world
        .execute("insert into orderstore.checkpoints (projection, generation) values ('orders', 2)")
        .await;
    world.execute("create schema orders_g2").await;
    world.execute("create table orders_g2.orders (nonsense text)").await;
}

#[tokio::test]
async fn what_another_process_is_building_is_not_built_twice() {
    let world = World::open().await;
    projector::migrate(&world.url).await.unwrap();
    half_build(&world).await;
    world
        .execute(
            "update orderstore.checkpoints set updated_at = clock_timestamp() + interval '1 hour', \
         holder = 'ffffffff-0000-0000-0000-000000000000' where generation = 2",
        )
        .await;
    let rebuild =
        Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
    assert!(matches!(rebuild, Err(Error::BeingBuilt { projection: ORDERS, .. })), "{rebuild:?}");
}

#[tokio::test]
async fn a_cancelled_rebuild_leaves_nothing_behind() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..4).await;
    settled(&world, &projector).await;
    // Nothing can be promoted while somebody reads.
    let mut connection = world.connection().await;
    let mut reading = sqlx::Connection::begin(&mut connection).await.unwrap();
    sqlx::query("select from read_model.orders").execute(&mut *reading).await.unwrap();
    let rebuild = Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options())
        .await
        .unwrap();
    let ask = || async { rebuild.progress().events_folded };
    eventually("folded", ask, |events| *events == 4 + 1 + 3).await;
    rebuild.cancel().await.unwrap();
    reading.rollback().await.unwrap();
    assert_eq!(generations(&world, ORDERS).await, [(1, GenerationState::Live)]);
    assert!(!schemas(&world).await.contains("orders_g2"));
}

#[tokio::test]
async fn a_new_version_is_built_beside_the_old_one_and_promoted() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..8).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let before = world.dump().await;
    world
        .execute("update orderstore.projections set version = version - 1 where name = 'orders'")
        .await;

    let projector = world.projector();
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, before);
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let orders: Vec<_> = all.iter().filter(|status| status.projection == ORDERS).collect();
    assert!(
        orders.iter().any(|status| status.version == 5 && status.state == GenerationState::Live)
    );
}

#[tokio::test]
async fn an_old_build_keeps_its_hands_off_a_newer_version() {
    let world = World::open().await;
    world.open_to_readers().await;
    world
        .execute("update orderstore.projections set version = version + 1 where name = 'orders'")
        .await;
    let projector = world.projector();
    world.trade(0..4).await;
    until(&projector, ORDERS, |status| status.role == Role::Standby).await;
    let head = world.journal.head().await.unwrap();
    until(&projector, ProjectionName::StockLevels, |status| status.position >= head).await;
    assert_eq!(world.number("select count(*) from read_model.orders").await, 0);
    assert_eq!(generations(&world, ORDERS).await, [(1, GenerationState::Live)]);
    let rebuild =
        Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
    assert!(matches!(rebuild, Err(Error::NewerIsLive { projection: ORDERS })), "{rebuild:?}");
}

#[tokio::test]
async fn an_old_build_starts_on_what_a_newer_one_has_migrated() {
    let world = World::open().await;
    projector::migrate(&world.url).await.unwrap();
    world
        .execute(
            "insert into orderstore.migrations (version, description, success, checksum, \
             execution_time) values (9999, 'of a newer build', true, '\\x00', 1)",
        )
        .await;
    let projector = world.projector();
    world.trade(0..4).await;
    settled(&world, &projector).await;
    projector::migrate(&world.url).await.unwrap();
}

#[tokio::test]
async fn a_rebuild_has_as_many_slices_as_what_it_replaces_unless_others_are_wanted() {
    let world = World::open().await;
    projector::migrate(&world.url).await.unwrap();
    for (wanted, slices) in [(0, 1), (3, 3), (0, 3), (2, 2)] {
        let options = Options { slices: wanted, ..World::options() };
        let rebuild = Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], options).await;
        rebuild.unwrap().finish().await.unwrap();
        let live = "select slices::bigint from orderstore.projections \
             where name = 'orders' and state = 'live'";
        assert_eq!(world.number(live).await, slices);
        let checkpoints = "select count(*) from orderstore.checkpoints c \
             where projection = 'orders' and live";
        assert_eq!(world.number(checkpoints).await, slices);
    }
}

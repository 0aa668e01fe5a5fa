//! What readers see: promotion by hand, the way back, deployments of other versions.

use std::time::Duration;

use projector::{
    Dropped, Error, GenerationState, Options, ProjectionName, Projector, PromoteOptions, Rebuild,
    RebuildOptions, Role, RollbackOptions,
};

use crate::history::{order_id, order_stream, placed};
use crate::world::{World, eventually, settled, until};

const ORDERS: ProjectionName = ProjectionName::Orders;

async fn states(world: &World) -> Vec<(i64, GenerationState)> {
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let orders = all.into_iter().filter(|status| status.projection == ORDERS);
    orders.map(|status| (status.generation, status.state)).collect()
}

async fn rebuilt(world: &World, promote: bool) {
    let options = RebuildOptions { promote, ..RebuildOptions::from(World::options()) };
    let rebuild = Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], options).await;
    rebuild.unwrap().finish().await.unwrap();
}

async fn promote(world: &World, max_differing: Option<u64>) -> Result<projector::Changed, Error> {
    let options = PromoteOptions { max_differing };
    projector::promote(&world.url, &world.journal, ORDERS, options).await
}

async fn rollback(world: &World, allow_stale: bool) -> Result<projector::Changed, Error> {
    let options = RollbackOptions { allow_stale };
    projector::rollback(&world.url, &world.journal, ORDERS, options).await
}

async fn is_readable(world: &World, number: u32) -> bool {
    world.reader().order(order_id(number).0).await.unwrap().is_some()
}

#[tokio::test]
async fn a_rollback_and_the_way_forward_lose_nothing() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..8).await;
    settled(&world, &projector).await;
    rebuilt(&world, true).await;
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    for (number, live) in (20..).zip([1, 2, 1, 2]) {
        // What happens while one is live is in the other one, too.
        let at = world.append(&order_stream(number), &[placed(number)]).await;
        until(&projector, ORDERS, |status| status.position >= at).await;
        let done = rollback(&world, false).await.unwrap();
        assert_eq!((done.generation, done.previous), (live, Some(3 - live)));
        assert!(is_readable(&world, number).await);
        until(&projector, ORDERS, |status| status.generation == Some(live)).await;
    }
    settled(&world, &projector).await;
    projector.stop().await;
    let swapped = world.dump().await;
    world.drop_database().await;
    world.create_database().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, swapped);
}

#[tokio::test]
async fn a_generation_that_waits_is_promoted_by_hand_if_it_does_not_differ_too_much() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..8).await;
    settled(&world, &projector).await;
    assert!(matches!(promote(&world, None).await, Err(Error::NothingToPromote { .. })));
    rebuilt(&world, false).await;
    let building = [(1, GenerationState::Live), (2, GenerationState::Building)];
    assert_eq!(states(&world).await, building);
    world.execute("update orders_g2.orders set channel = 'market' where status = 'pending'").await;
    let refused = promote(&world, None).await.unwrap_err();
    assert!(refused.to_string().contains("orders: 0 added, 0 removed"), "{refused}");
    let Error::TooDifferent { comparison, .. } = refused else { panic!("{refused}") };
    assert!(comparison.differing() > 0);
    assert_eq!(states(&world).await, building);

    world
        .execute(
            "update orders_g2.orders n set channel = o.channel from orders_g1.orders o \
             where o.id = n.id",
        )
        .await;
    // It has been kept up to date since.
    let at = world.append(&order_stream(50), &[placed(50)]).await;
    until(&projector, ORDERS, |status| status.position >= at).await;
    let done = promote(&world, Some(0)).await.unwrap();
    assert_eq!((done.generation, done.previous), (2, Some(1)));
    assert_eq!(done.comparison.unwrap().differing(), 0);
    assert!(is_readable(&world, 50).await);
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
}

#[tokio::test]
async fn readers_are_not_taken_back_to_rows_that_nobody_kept_up_to_date() {
    let world = World::open().await;
    world.trade(0..4).await;
    let old = world.projector();
    settled(&world, &old).await;
    assert!(matches!(rollback(&world, false).await, Err(Error::NothingToRollBackTo { .. })));
    old.stop().await;
    let options = Options { versions_ahead: 1, ..World::options() };
    let new = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    until(&new, ORDERS, |status| status.generation == Some(2) && status.role == Role::Live).await;
    let at = world.append(&order_stream(50), &[placed(50)]).await;
    until(&new, ORDERS, |status| status.position >= at).await;
    let refused = rollback(&world, false).await.unwrap_err();
    assert!(matches!(refused, Error::Stale { generation: 1, events: 1, .. }), "{refused:?}");
    assert!(is_readable(&world, 50).await);

    rollback(&world, true).await.unwrap();
    assert!(!is_readable(&world, 50).await);
    let before = [(1, GenerationState::Live), (2, GenerationState::Previous)];
    assert_eq!(states(&world).await, before);
    // The old build goes on where it was.
    let old = world.projector();
    until(&old, ORDERS, |status| status.position >= at).await;
    assert!(is_readable(&world, 50).await);
    assert_eq!(states(&world).await, before, "the new version is not promoted again by itself");
}

#[tokio::test]
async fn the_old_build_serves_until_the_new_one_has_built_its_version_and_both_can_go_back() {
    let world = World::open().await;
    let old = world.projector();
    world.trade(0..8).await;
    settled(&world, &old).await;
    let options = Options { versions_ahead: 1, ..World::options() };
    let new = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    let building = async {
        until(&new, ORDERS, |it| it.generation == Some(2) && it.role == Role::Live).await;
    };
    let trading = async {
        for number in 100..130 {
            let at = world.append(&order_stream(number), &[placed(number)]).await;
            let reader = world.reader();
            reader.wait_for(ORDERS, at, Duration::from_secs(30)).await.unwrap();
            assert!(is_readable(&world, number).await, "{number}");
        }
    };
    tokio::join!(building, trading);
    // The old build keeps its version warm, so the way back is open.
    until(&old, ORDERS, |status| status.role == Role::Standby).await;
    let at = world.append(&order_stream(200), &[placed(200)]).await;
    until(&new, ORDERS, |status| status.position >= at).await;
    rollback(&world, false).await.unwrap();
    until(&old, ORDERS, |it| it.generation == Some(1) && it.position >= at).await;
    assert!(is_readable(&world, 200).await);
    until(&new, ORDERS, |status| status.role == Role::Standby).await;
    rollback(&world, false).await.unwrap();
    until(&new, ORDERS, |it| it.generation == Some(2) && it.role == Role::Live).await;
    assert!(is_readable(&world, 200).await);
}

#[tokio::test]
async fn what_was_replaced_is_dropped_when_its_time_is_over_or_by_hand() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..4).await;
    settled(&world, &projector).await;
    rebuilt(&world, true).await;
    let drop_one = |number| projector::drop_generation(&world.url, ORDERS, number);
    assert!(matches!(drop_one(2).await, Err(Error::IsLive { .. })));
    assert!(matches!(drop_one(9).await, Err(Error::NoSuchGeneration { .. })));
    assert_eq!(drop_one(1).await.unwrap(), Dropped::Gone);
    assert!(matches!(drop_one(1).await, Err(Error::NoSuchGeneration { .. })));
    assert_eq!(states(&world).await, [(2, GenerationState::Live)]);

    rebuilt(&world, true).await;
    rebuilt(&world, true).await;
    let ask = || states(&world);
    let kept = [(3, GenerationState::Previous), (4, GenerationState::Live)];
    eventually("only the last one is kept", ask, |states| states[..] == kept).await;
    projector.stop().await;
    let options = Options { keep_previous: Duration::ZERO, ..World::options() };
    let projector = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    let ask = || states(&world);
    eventually("dropped", ask, |states| states[..] == [(4, GenerationState::Live)]).await;
    settled(&world, &projector).await;
    assert!(is_readable(&world, 1).await);
}

/// Somebody who reads the views with a role and a view of their own.
async fn a_reader_of_their_own(world: &World) {
    // Roles belong to the whole cluster, which other tests share.
    let role = "do $$ begin create role till nologin; \
         exception when duplicate_object or unique_violation then null; end $$";
    for statement in [
        role,
        "grant select on read_model.orders to till",
        "create schema of_others",
        "create view of_others.report as select id, status from read_model.orders",
    ] {
        world.execute(statement).await;
    }
}

const MAY_READ: &str =
    "select has_table_privilege('till', 'read_model.orders', 'select')::int::bigint";

#[tokio::test]
async fn what_others_have_made_of_the_views_outlives_a_promotion() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..4).await;
    settled(&world, &projector).await;
    a_reader_of_their_own(&world).await;
    rebuilt(&world, true).await;
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    let at = world.append(&order_stream(50), &[placed(50)]).await;
    until(&projector, ORDERS, |status| status.position >= at).await;
    assert_eq!(world.number("select count(*) from of_others.report").await, 5);
    assert_eq!(world.number(MAY_READ).await, 1);
    rollback(&world, false).await.unwrap();
    assert_eq!(world.number("select count(*) from of_others.report").await, 5);
    assert_eq!(world.number(MAY_READ).await, 1);
}

#[tokio::test]
async fn views_that_have_to_be_dropped_are_not_while_others_rest_on_them() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..4).await;
    settled(&world, &projector).await;
    a_reader_of_their_own(&world).await;
    rebuilt(&world, false).await;
    // Of a version with other columns.
    world
        .execute(
            "update orderstore.projections set views = replace(views, \
             'create view read_model.orders as select * from', \
             'create view read_model.orders as select 1 as first, * from') \
             where name = 'orders' and generation = 2",
        )
        .await;
    let refused = promote(&world, None).await.unwrap_err();
    assert!(matches!(refused, Error::ViewsInTheWay { .. }), "{refused:?}");
    assert!(refused.to_string().contains("of_others.report"), "{refused}");
    assert!(is_readable(&world, 1).await);

    world.execute("drop view of_others.report").await;
    promote(&world, None).await.unwrap();
    assert_eq!(world.number("select sum(first)::bigint from read_model.orders").await, 4);
    assert_eq!(world.number(MAY_READ).await, 1);
    until(&projector, ORDERS, |status| status.generation == Some(2)).await;
    rollback(&world, false).await.unwrap();
    assert!(is_readable(&world, 1).await);
    assert_eq!(world.number(MAY_READ).await, 1);
}

#[tokio::test]
async fn a_generation_that_was_there_before_its_views_were_noted_can_be_rolled_back_to() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..4).await;
    settled(&world, &projector).await;
    projector.stop().await;
    // Of a version with other tables, too: this build's views would not fit.
    for statement in [
        "drop view read_model.order_timeline",
        "alter table orders_g1.order_timeline rename to order_story",
        "create view read_model.order_story as select * from orders_g1.order_story",
        "update orderstore.projections set views = null, version = version - 1 \
         where name = 'orders' and generation = 1",
    ] {
        world.execute(statement).await;
    }
    rebuilt(&world, true).await;
    let views = "select count(*) from pg_views where schemaname = 'read_model' \
         and viewname in ('order_timeline', 'order_story')";
    assert_eq!(world.number(views).await, 1);
    rollback(&world, true).await.unwrap();
    assert!(world.number("select count(*) from read_model.order_story").await > 0);
    assert_eq!(world.number(views).await, 1);
}

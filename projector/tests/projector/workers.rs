//! Workers that compete, stop, and lose their database.

use std::time::Duration;

use projector::{ProjectionName, Role};

use crate::history::{order_id, order_stream, placed};
use crate::world::{World, cluster_in, eventually, settled, until};

const ORDERS: ProjectionName = ProjectionName::Orders;

/// What a single projector makes of the same log.
async fn undisturbed(world: &World) -> Vec<String> {
    world.drop_database().await;
    world.create_database().await;
    let projector = world.projector();
    settled(world, &projector).await;
    projector.stop().await;
    world.dump().await
}

#[tokio::test]
async fn of_two_projectors_one_works_and_the_other_stands_by() {
    let world = World::open().await;
    let first = world.projector();
    settled(&world, &first).await;
    let second = world.projector();
    until(&second, ORDERS, |status| status.role == Role::Live).await;
    until(&first, ORDERS, |status| status.role == Role::Standby).await;
    world.trade(0..20).await;
    settled(&world, &second).await;
    assert_eq!(first.watch(ORDERS).borrow().role, Role::Standby);
    assert_eq!(first.watch(ORDERS).borrow().stats.takeovers, 1);
    assert_eq!(second.watch(ORDERS).borrow().stats.takeovers, 0);

    second.stop().await;
    world.trade(20..30).await;
    settled(&world, &first).await;
    first.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
}

#[tokio::test]
async fn a_standby_takes_over_from_a_projector_that_died() {
    let world = World::open().await;
    let first = world.projector();
    settled(&world, &first).await;
    first.stop().await;
    // Its process was killed just now: nobody gave anything back.
    world
        .execute(
            "update orderstore.checkpoints set updated_at = clock_timestamp(), \
         holder = 'ffffffff-0000-0000-0000-000000000000'",
        )
        .await;
    let second = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    settled(&world, &second).await;
    assert!(world.reader().order(order_id(1).0).await.unwrap().is_some());
}

#[tokio::test]
async fn projectors_that_keep_taking_over_from_each_other_never_write_twice() {
    let world = World::open().await;
    let first = world.projector();
    settled(&world, &first).await;
    let writing = async {
        world.trade(0..60).await;
    };
    let disturbing = async {
        for _ in 0..30 {
            // As if another one had started: the holder must stand down in the middle of its work.
            world
                .execute("update orderstore.checkpoints set epoch = epoch + 1, holder = null")
                .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let second = world.projector();
    tokio::join!(writing, disturbing);
    let head = world.journal.head().await.unwrap();
    let reader = world.reader();
    for name in ProjectionName::ALL {
        let ask = || async { reader.freshness(name).await.unwrap().position };
        eventually("caught up", ask, |position| *position >= head).await;
    }
    let takeovers = [&first, &second].map(|it| it.watch(ORDERS).borrow().stats.takeovers);
    assert!(takeovers.iter().sum::<u64>() > 1, "{takeovers:?}");
    first.stop().await;
    second.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
}

#[tokio::test]
async fn a_projector_survives_the_end_of_all_its_sessions() {
    let world = World::open().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let writing = world.trade(0..60);
    let killing = async {
        for _ in 0..10 {
            world
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity \
                 where datname = current_database() and application_name = 'orderstore projector'",
                )
                .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(writing, killing);
    settled(&world, &projector).await;
    projector.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
}

#[tokio::test]
async fn a_projector_waits_for_its_database_and_outlives_its_restarts() {
    let folder = open_folder();
    let cluster = cluster_in(folder.path()).await;
    let world = World::open_at(&cluster.url()).await;
    cluster.stop().await.unwrap();

    let projector = world.projector();
    world.trade(0..10).await;
    until(&projector, ORDERS, |status| status.last_error.is_some()).await;
    let cluster = cluster_in(folder.path()).await;
    settled(&world, &projector).await;

    cluster.stop().await.unwrap();
    world.trade(10..20).await;
    until(&projector, ORDERS, |status| status.last_error.is_some()).await;
    let cluster = cluster_in(folder.path()).await;
    settled(&world, &projector).await;
    assert_eq!(projector.watch(ORDERS).borrow().last_error, None);
    projector.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
    cluster.stop().await.unwrap();
}

/// A folder that the user who runs the server may enter even when root makes it.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(permissions).tempdir().unwrap()
}

#[tokio::test]
async fn a_database_that_is_dropped_under_a_running_projector_is_built_again() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..20).await;
    settled(&world, &projector).await;
    let before = world.dump().await;
    world.drop_database().await;
    world.create_database().await;
    let reader = world.reader();
    let head = world.journal.head().await.unwrap();
    for name in ProjectionName::ALL {
        let ask = || async { reader.freshness(name).await.map(|fresh| fresh.position).ok() };
        eventually("built again", ask, |position| position.is_some_and(|it| it >= head)).await;
    }
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_bad_address_is_refused_without_repeating_it() {
    let world = World::open().await;
    let url = "mysql://somebody:secret@nowhere/orders";
    let refused = projector::Projector::start(url, world.journal.clone(), World::options());
    let error = refused.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

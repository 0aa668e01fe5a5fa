//! Workers that compete, stop, and lose their database.

use std::time::Duration;

use domain::order::Order;
use projector::{
    Options, ProjectionName, Projector, PromoteOptions, Rebuild, RebuildOptions, Role,
};
use schemas::stream_of;
use tokio::time::timeout;

use crate::history::{confirmed, order_id, order_stream, placed, shipped};
use crate::lives::Life;
use crate::world::{DEADLINE, World, cluster_in, eventually, settled, until};

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

/// How many of the read models, each of one slice, a projector works on.
fn held(projector: &Projector) -> usize {
    projector.status().iter().filter(|status| status.role == Role::Live).count()
}

/// Waits until everything in the log can be read, whoever sees to it.
async fn readable(world: &World) {
    let head = world.journal.head().await.unwrap();
    let reader = world.reader();
    for name in ProjectionName::ALL {
        let ask = || async { reader.freshness(name).await.unwrap().position };
        eventually("caught up", ask, |position| *position >= head).await;
    }
}

#[tokio::test]
async fn projectors_share_the_work_and_do_that_of_one_that_stops() {
    let world = World::open().await;
    let first = world.projector();
    settled(&world, &first).await;
    let second = world.projector();
    let ask = || async { (held(&first), held(&second)) };
    eventually("shared", ask, |held| *held == (3, 3)).await;
    world.trade(0..20).await;
    readable(&world).await;
    let takeovers =
        |it: &Projector| -> u64 { it.status().iter().map(|status| status.stats.takeovers).sum() };
    assert_eq!((takeovers(&first), takeovers(&second)), (0, 0), "everything was handed over");
    assert_eq!((held(&first), held(&second)), (3, 3));

    second.stop().await;
    world.trade(20..30).await;
    settled(&world, &first).await;
    assert_eq!(held(&first), 6);
    first.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
}

#[tokio::test]
async fn four_slices_come_to_the_same_tables_as_one() {
    let world = World::open().await;
    // With one slice, which nobody has written to yet.
    projector::migrate(&world.url).await.unwrap();
    let options = Options { slices: 4, ..World::options() };
    let start = || Projector::start(&world.url, world.journal.clone(), options.clone()).unwrap();
    let (first, second) = (start(), start());
    let slices = |it: &Projector| it.watch(ORDERS).borrow().slices.len();
    let ask = || async { (slices(&first), slices(&second)) };
    eventually("shared", ask, |slices| *slices == (2, 2)).await;

    // Orders change hands meanwhile: customers lose their first or last order in one slice while
    // they are given others in another.
    let lives: Vec<Life> = (500..540).map(Life::of).collect();
    let living = |part: usize| {
        let (world, lives) = (&world, &lives);
        async move {
            let longest = lives.iter().map(|life| life.events.len()).max().unwrap_or(0);
            for at in 0..longest {
                for life in lives.iter().skip(part).step_by(4) {
                    if let Some(event) = life.events.get(at) {
                        let stream = stream_of::<Order>(&life.id);
                        world.append(&stream, std::slice::from_ref(event)).await;
                    }
                }
            }
        }
    };
    tokio::join!(living(0), living(1), living(2), living(3), world.trade(0..30));
    readable(&world).await;
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    for status in &all {
        assert_eq!((status.slices.len(), status.counters.gaps_healed), (4, 0), "{status:?}");
        assert!(status.slices.iter().all(|slice| slice.worker.is_some()), "{status:?}");
    }
    let last = world.append(&order_stream(900), &[placed(900)]).await;
    let waited = world.reader().wait_for(ORDERS, last, DEADLINE).await.unwrap();
    assert!(waited.is_there());
    assert!(world.reader().order(order_id(900).0).await.unwrap().is_some());

    first.stop().await;
    let ask = || async { slices(&second) };
    eventually("taken over", ask, |slices| *slices == 4).await;
    second.stop().await;
    let tables = world.dump().await;
    assert_eq!(tables, undisturbed(&world).await);
}

#[tokio::test]
async fn what_has_happened_is_still_known_after_a_restart() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1), confirmed()]).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let of_orders = || async {
        let all = projector::status(&world.url, &world.journal).await.unwrap();
        all.into_iter().find(|status| status.projection == ORDERS).unwrap()
    };
    let status = of_orders().await;
    assert_eq!((status.counters.events_applied, status.lag.unwrap().events), (2, 0));
    assert_eq!(status.slices[0].worker, None);

    world.append(&order_stream(1), &[shipped()]).await;
    world.append(&order_stream(2), &[placed(2)]).await;
    let status = of_orders().await;
    let lag = status.lag.unwrap();
    assert_eq!((lag.events, lag.at_least), (2, false));
    // (What tests append was recorded long ago.)
    assert!(lag.oldest.is_some() && status.age > chrono::TimeDelta::hours(1), "{status:?}");

    let options = Options { name: Some("left".to_owned()), ..World::options() };
    let projector = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    settled(&world, &projector).await;
    let status = of_orders().await;
    assert_eq!(status.counters.gaps_healed, 0);
    let worker = status.slices[0].worker.clone().unwrap();
    assert_eq!(worker.process, Some(("left".to_owned(), std::process::id().into())));
    projector.stop().await;
    assert_eq!(of_orders().await.counters.events_applied, 4);
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
    let second = world.projector();
    let takeovers = || [&first, &second].map(|it| it.watch(ORDERS).borrow().stats.takeovers);
    let is_disturbed = || takeovers().iter().sum::<u64>() > 3;
    let writing = async {
        let mut number = 0;
        while number < 60 || !is_disturbed() {
            world.trade(number..number + 1).await;
            number += 1;
        }
    };
    let disturbing = async {
        while !is_disturbed() {
            // As if another one had started: the holder must stand down in the middle of its work.
            world
                .execute("update orderstore.checkpoints set epoch = epoch + 1, holder = null")
                .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let both = async { tokio::join!(writing, disturbing) };
    let disturbed = timeout(DEADLINE, both).await;
    assert!(disturbed.is_ok(), "nobody takes over from anybody: {:?}", takeovers());
    readable(&world).await;
    first.stop().await;
    second.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
}

#[tokio::test]
async fn signs_of_life_do_not_keep_a_worker_from_its_work() {
    let world = World::open().await;
    world.trade(0..20).await;
    // Each takes longer than the time between two.
    let heartbeat = Duration::from_millis(1);
    let options = Options { heartbeat, ..World::options() };
    let projector = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    settled(&world, &projector).await;
    projector.stop().await;
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

#[tokio::test]
async fn who_was_killed_is_not_named_as_working() {
    let world = World::open().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let named = async || {
        let status = projector::status(&world.url, &world.journal).await.unwrap();
        let slices = status.iter().flat_map(|status| &status.slices);
        let named = slices.filter(|slice| slice.worker.is_some()).count();
        let watched = world.reader().slices().await.unwrap();
        assert_eq!(watched.iter().filter(|slice| slice.held).count(), named);
        named
    };
    assert_eq!(named().await, 6);
    projector.stop().await;
    assert_eq!(named().await, 0);
    // A process that is killed leaves its name behind, its sessions go with it.
    world
        .execute("update orderstore.checkpoints set holder = gen_random_uuid(), session = 1")
        .await;
    assert_eq!(named().await, 0);
    // One whose machine has gone only falls silent.
    world.execute("update orderstore.checkpoints set session = null").await;
    world.execute("update orderstore.checkpoints set updated_at = now() - interval '4 s'").await;
    assert_eq!(named().await, 6);
    world.execute("update orderstore.checkpoints set updated_at = now() - interval '6 s'").await;
    assert_eq!(named().await, 0);
}

/// How much the session that writes orders lets others go first: 0 is not at all.
#[cfg(target_os = "linux")]
async fn niceness(world: &World, session: &'static str) -> Option<i64> {
    let process = world.number(session).await;
    let told = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // proc(5): the nineteenth field; the second one is in brackets.
    told.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_writes_what_readers_do_not_see_lets_others_go_first_until_they_see_it() {
    const FIRST: &str = "select coalesce(session, 0)::bigint from orderstore.checkpoints \
         where projection = 'orders' and generation = 1";
    const SECOND: &str = "select coalesce(session, 0)::bigint from orderstore.checkpoints \
         where projection = 'orders' and generation = 2";
    let world = World::open().await;
    world.trade(0..8).await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let options = RebuildOptions { promote: false, ..RebuildOptions::from(World::options()) };
    let rebuild = Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], options).await;
    tokio::time::timeout(DEADLINE, rebuild.unwrap().finish()).await.unwrap().unwrap();
    let ask = || async { (niceness(&world, FIRST).await, niceness(&world, SECOND).await) };
    // The tests themselves may have been told to let others go first.
    eventually("beside", ask, |nice| matches!(nice, (Some(_), Some(10..)))).await;
    let usual = niceness(&world, FIRST).await;

    projector::promote(&world.url, &world.journal, ORDERS, PromoteOptions::default())
        .await
        .unwrap();
    eventually("seen", || niceness(&world, SECOND), |nice| *nice == usual).await;
    world.trade(8..12).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let dump = world.dump().await;
    assert_eq!(dump, undisturbed(&world).await);
}

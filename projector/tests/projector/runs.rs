//! What becomes of rebuilds that cannot simply go on: those of another build, those that run into
//! something that somebody has to mend, and what others have left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::process::Command;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use projector::{Error, GenerationState, Options, Phase, ProjectionName, Rebuild, RebuildOptions};
use schemas::Encoded;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::history::{order_stream, placed};
use crate::world::{DEADLINE, World, eventually, settled};

fn options(folder: &TempDir) -> RebuildOptions {
    RebuildOptions {
        memory_bytes: 710_000,
        spill_dir: folder.path().to_owned(),
        partitions: Some(4),
        ..RebuildOptions::from(World::options())
    }
}

async fn start(world: &World, name: ProjectionName, options: RebuildOptions) -> Rebuild {
    Rebuild::start(&world.url, world.journal.clone(), &[name], options).await.unwrap()
}

/// Some orders and payments, folded live.
async fn history(world: &World) {
    let projector = world.projector();
    world.trade(0..12).await;
    settled(world, &projector).await;
    projector.stop().await;
}

#[tokio::test]
async fn an_older_build_leaves_the_run_of_a_newer_one_alone() {
    let world = World::open().await;
    history(&world).await;
    let folder = TempDir::new().unwrap();
    let newer = RebuildOptions {
        worker: Options { versions_ahead: 1, ..World::options() },
        ..options(&folder)
    };
    drop(start(&world, ProjectionName::Orders, newer).await);
    drop(start(&world, ProjectionName::Payments, options(&folder)).await);
    world.execute("update orderstore.builds set holder = null").await;
    let phase_of = async |statement: &'static str| world.number(statement).await;
    let projector = world.projector();
    // It goes on with its own, although the other one is older.
    let done = "select count(*) from orderstore.builds where phase = 'done'";
    eventually("done", || phase_of(done), |count| *count == 1).await;
    projector.stop().await;
    let untouched = "select count(*) from orderstore.build_generations g \
         join orderstore.builds b on b.id = g.build \
         join orderstore.projections p on p.name = g.projection and p.generation = g.generation \
         where g.projection = 'orders' and b.phase = 'scan' and b.holder is null \
         and p.state = 'building' and not g.filled";
    assert_eq!(world.number(untouched).await, 1);
    let refused = Rebuild::start(
        &world.url,
        world.journal.clone(),
        &[ProjectionName::Orders],
        options(&folder),
    );
    assert!(matches!(refused.await, Err(Error::NewerIsLive { .. })));
}

#[tokio::test]
async fn a_generation_that_follows_fewer_streams_waits_whatever_the_threshold() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    let event = Encoded { event_type: "order-teleported", version: 1, data: Bytes::from("{}") };
    world.append_encoded(&order_stream(1), vec![event]).await;
    settled(&world, &projector).await;
    projector.stop().await;
    // The live generation could do what the new one cannot.
    world.execute("delete from orderstore.quarantine").await;
    let folder = TempDir::new().unwrap();
    let rebuild = start(&world, ProjectionName::Orders, options(&folder)).await;
    let done = timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert!(!done.promoted && done.progress.phase == Phase::Ready, "{done:?}");
    let refusal = done.projections[0].refusal.clone().unwrap();
    assert!(refusal.contains("1 of its streams are quarantined, and 0 of those"), "{refusal}");
    assert!(refusal.contains("projections promote orders"), "{refusal}");
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let waits = all.iter().find(|it| it.state == GenerationState::Building).unwrap();
    assert_eq!(waits.verdict.refusal.as_ref().unwrap().why, refusal);
    assert_eq!(waits.verdict.compared, None);
}

#[tokio::test]
async fn a_run_for_which_postgres_has_no_room_is_paused_until_somebody_resumes_it() {
    let world = World::open().await;
    history(&world).await;
    let live = world.dump().await;
    world
        .execute(
            "create function public.full() returns trigger language plpgsql as \
             $$ begin raise exception 'no space left' using errcode = '53100'; end $$",
        )
        .await;
    world
        .execute(
            "create trigger is_full before update on orderstore.build_generations \
             for each row execute function public.full()",
        )
        .await;
    let folder = TempDir::new().unwrap();
    let rebuild = start(&world, ProjectionName::Orders, options(&folder)).await;
    let failed = timeout(DEADLINE, rebuild.finish()).await.unwrap();
    let Err(error @ Error::Disk(_)) = failed else { panic!("{failed:?}") };
    assert!(error.to_string().contains("no space left"), "{error}");
    let paused = "select count(*) from orderstore.builds \
         where paused and holder is null and error like '%no space left%'";
    assert_eq!(world.number(paused).await, 1);
    world.execute("drop trigger is_full on orderstore.build_generations").await;
    let rebuild = start(&world, ProjectionName::Orders, options(&folder)).await;
    let done = timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert!(done.promoted, "{done:?}");
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn what_a_run_that_ended_elsewhere_put_aside_is_removed_by_the_next_one() {
    let world = World::open().await;
    history(&world).await;
    let folder = TempDir::new().unwrap();
    drop(start(&world, ProjectionName::Orders, options(&folder)).await);
    world
        .execute(
            "update orderstore.builds set phase = 'given-up', holder = null, epoch = epoch + 1, \
             ended_at = clock_timestamp() - interval '1 hour'",
        )
        .await;
    let begun = "select (extract(epoch from started_at) * 1000000)::bigint from orderstore.builds";
    let begun = world.number(begun).await;
    let left = folder.path().join(format!("orderstore-build-1-{begun}"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("partition-00000"), "events").unwrap();
    // Nobody knows these: they may be another database's. One has been left there for long.
    let other = folder.path().join("orderstore-build-1-7");
    fs::create_dir(&other).unwrap();
    let forgotten = folder.path().join("orderstore-build-1-8");
    fs::create_dir(&forgotten).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
    fs::File::open(&forgotten).unwrap().set_modified(long_ago).unwrap();
    let rebuild = start(&world, ProjectionName::Payments, options(&folder)).await;
    timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert!(!left.exists() && !forgotten.exists());
    assert!(other.exists());
}

#[tokio::test]
async fn a_session_that_ends_while_generations_are_compared_costs_no_other_comparison() {
    let world = World::open().await;
    history(&world).await;
    // Somebody makes the comparison take as long as it likes.
    let mut other = world.connection().await;
    let lock = "begin; lock table orders_g1.orders in access exclusive mode";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let folder = TempDir::new().unwrap();
    let rebuild = start(&world, ProjectionName::Orders, options(&folder)).await;
    let comparing = "select count(*) from pg_locks where not granted \
         and relation = 'orders_g1.orders'::regclass";
    eventually("compared", || world.number(comparing), |count| *count > 0).await;
    // What looked how far the new one is has nothing to ask meanwhile.
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
         where datname = current_database() and application_name = 'orderstore projector' \
         and state = 'idle' and query like '%from orderstore.projections%'";
    assert!(world.number(end).await > 0);
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    let troubled = async || {
        let progress = rebuild.progress();
        assert_eq!(progress.last_error, None);
        rebuild.is_finished()
    };
    eventually("done", troubled, |is_finished| *is_finished).await;
    assert!(rebuild.finish().await.unwrap().projections[0].promoted);
}

#[tokio::test]
async fn what_is_put_aside_is_nobody_elses_and_goes_with_a_cancelled_run() {
    let world = World::open().await;
    history(&world).await;
    let folder = TempDir::new().unwrap();
    let rebuild = start(&world, ProjectionName::Orders, options(&folder)).await;
    let aside = async || {
        let entry = fs::read_dir(folder.path()).unwrap().next()?.ok()?;
        Some(entry.metadata().ok()?.permissions().mode() & 0o777)
    };
    eventually("put aside", aside, |mode| mode.is_some() || rebuild.is_finished()).await;
    if let Some(mode) = aside().await {
        assert_eq!(mode, 0o700);
    }
    rebuild.cancel().await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_cancelled_run_removes_what_a_thread_is_still_reading() {
    let world = World::open().await;
    history(&world).await;
    let folder = TempDir::new().unwrap();
    start(&world, ProjectionName::Orders, options(&folder)).await.stop().await;
    let begun = "select (extract(epoch from started_at) * 1000000)::bigint from orderstore.builds";
    let begun = world.number(begun).await;
    let aside = folder.path().join(format!("orderstore-build-1-{begun}"));
    fs::create_dir_all(&aside).unwrap();
    // Who reads this waits until somebody writes.
    let manifest = aside.join("manifest");
    assert!(Command::new("mkfifo").arg(&manifest).status().unwrap().success());
    let rebuild = start(&world, ProjectionName::Orders, options(&folder)).await;
    let open = move || fs::OpenOptions::new().write(true).open(manifest).unwrap();
    let read = timeout(DEADLINE, spawn_blocking(open)).await.unwrap().unwrap();
    let mut cancelled = pin!(rebuild.cancel());
    let early = timeout(Duration::from_millis(300), &mut cancelled).await;
    assert!(early.is_err(), "somebody still reads what was put aside");
    drop(read);
    timeout(DEADLINE, cancelled).await.unwrap().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

//! Generations that are filled in bulk: the same as those that were folded live, whatever happens
//! to whomever on the way.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use domain::order::{OrderEvent, OrderPlaced};
use domain::pricing::price;
use journal::Journal;
use projector::{
    Error, GenerationState, Options, Phase, ProjectionName, ProjectionStatus, Projector, Rebuild,
    RebuildOptions, Rebuilt,
};
use schemas::{Encoded, StoredEvent};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::history::{
    at, confirmed, details, order_stream, placed, received, shipped, stock_stream,
};
use crate::lives::{Dice, Life};
use crate::orders::interleaved;
use crate::world::{DEADLINE, World, cluster_in, eventually, settled};

const ALL: [ProjectionName; 6] = ProjectionName::ALL;
const ORDERS: ProjectionName = ProjectionName::Orders;

/// A few partitions, and so little memory that events go to the disk.
fn tiny(folder: &TempDir) -> RebuildOptions {
    RebuildOptions {
        memory_bytes: 710_000,
        spill_dir: folder.path().to_owned(),
        partitions: Some(4),
        ..RebuildOptions::from(World::options())
    }
}

async fn start(world: &World, options: RebuildOptions) -> Result<Rebuild, Error> {
    Rebuild::start(&world.url, world.journal.clone(), &ALL, options).await
}

async fn rebuild(world: &World, options: RebuildOptions) -> Rebuilt {
    let rebuild = start(world, options).await.unwrap();
    timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap()
}

/// Some of everything, folded live.
async fn history(world: &World, seed: u64) -> Vec<String> {
    let numbers = 100 * u32::try_from(seed).unwrap();
    let lives: Vec<_> = (numbers..numbers + 40).map(Life::of).collect();
    world.trade(100_000..100_012).await;
    interleaved(world, &lives, seed).await;
    world.dump().await
}

/// So many events are in the log.
async fn events_of(world: &World) -> u64 {
    let mut events = world.journal.read_all(journal::Position::START);
    let mut count = 0;
    while futures::TryStreamExt::try_next(&mut events).await.unwrap().is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn what_is_filled_in_bulk_is_what_was_folded_live() {
    for seed in 1..=2 {
        let world = World::open().await;
        let live = history(&world, seed).await;
        let folder = TempDir::new().unwrap();
        let done = rebuild(&world, tiny(&folder)).await;
        assert!(done.promoted && done.projections.len() == 6, "{done:?}");
        assert_eq!(world.dump().await, live);
        let progress = done.progress;
        assert_eq!((progress.phase, progress.partitions_done), (Phase::Done, 4));
        assert!(progress.spilled_bytes > 0, "{progress:?}");
        assert_eq!(progress.events_scanned, events_of(&world).await);
        assert_eq!(progress.events_folded, progress.events_scanned);
        let gaps: u64 = progress.projections.iter().map(|it| it.gaps_healed).sum();
        assert_eq!(gaps, 0);
        // What was put aside is gone.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn what_fits_into_memory_stays_there() {
    let world = World::open().await;
    let live = history(&world, 3).await;
    let folder = TempDir::new().unwrap();
    let options = RebuildOptions { memory_bytes: 64 << 20, ..tiny(&folder) };
    let done = rebuild(&world, options).await;
    assert_eq!(done.progress.spilled_bytes, 0);
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn a_stream_with_a_very_long_history_is_folded_like_any_other() {
    let world = World::open().await;
    // More than twice as many as are kept in memory.
    let receipts: Vec<_> = (1..=35_000).map(|number| received(number, 1)).collect();
    for receipts in receipts.chunks(1_000) {
        world.append(&stock_stream(1), receipts).await;
    }
    world.trade(10..14).await;
    let options = Options { batch: 1_000, ..World::options() };
    let projector = Projector::start(&world.url, world.journal.clone(), options).unwrap();
    settled(&world, &projector).await;
    projector.stop().await;
    let live = world.dump().await;
    let folder = TempDir::new().unwrap();
    let options = RebuildOptions { memory_bytes: 64 << 20, ..tiny(&folder) };
    let done = rebuild(&world, options).await;
    let longest =
        "select count(*) from read_model.stock_movements group by sku order by 1 desc limit 1";
    assert_eq!(world.number(longest).await, 35_000);
    let stock =
        done.projections.iter().find(|it| it.projection == ProjectionName::StockLevels).unwrap();
    let counted = "select (select count(*) from read_model.stock_levels) \
        + (select count(*) from read_model.stock_locations) \
        + (select count(*) from read_model.stock_movements)";
    let counted = world.number(counted).await;
    assert_eq!(stock.rows, counted.unsigned_abs());
    assert_eq!(world.dump().await, live);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
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
async fn the_same_streams_are_quarantined() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    world.append_encoded(&order_stream(1), vec![from_the_future()]).await;
    world.append(&order_stream(1), &[confirmed()]).await;
    world.append(&order_stream(2), &[confirmed(), shipped()]).await;
    world.append_encoded(&order_stream(3), vec![unwritable(3)]).await;
    world.append(&order_stream(3), &[confirmed()]).await;
    world.trade(10..30).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let live = world.dump().await;
    assert_eq!(world.number("select count(*) from orderstore.quarantine").await, 3);
    let folder = TempDir::new().unwrap();
    rebuild(&world, tiny(&folder)).await;
    assert_eq!(world.dump().await, live);
}

/// An order with a number that it shares with others.
fn numbered(number: u32) -> OrderEvent {
    let details = details(number);
    let prices = price(&details).unwrap().into();
    let shared = domain::ids::OrderNumber::new("W-1").unwrap();
    OrderEvent::Placed(OrderPlaced { number: Some(shared), details, prices, placed_at: at(1) })
}

#[tokio::test]
async fn of_rows_that_do_not_go_together_the_first_one_wins() {
    let world = World::open().await;
    let projector = world.projector();
    for number in [1, 2] {
        world.append(&order_stream(number), &[numbered(number)]).await;
        settled(&world, &projector).await;
    }
    world.append(&order_stream(2), &[confirmed()]).await;
    world.trade(10..14).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let live = world.dump().await;
    assert_eq!(world.number("select count(*) from orderstore.quarantine").await, 1);
    let folder = TempDir::new().unwrap();
    rebuild(&world, tiny(&folder)).await;
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn a_rebuild_that_is_killed_again_and_again_comes_to_its_end() {
    let world = World::open().await;
    let live = history(&world, 4).await;
    let folder = TempDir::new().unwrap();
    let mut dice = Dice::new(4);
    let mut begun = 0;
    let done = loop {
        let rebuild = start(&world, tiny(&folder)).await.unwrap();
        begun += 1;
        // Longer from time to time, so that it gets everywhere.
        let longest = 20 * begun;
        let until = Duration::from_millis(u64::from(dice.roll(longest)));
        sleep(until).await;
        if rebuild.is_finished() {
            break rebuild.finish().await.unwrap();
        }
        drop(rebuild);
        // Nobody has said goodbye.
        let lost = "update orderstore.builds set holder = null";
        eventually("free", || world.execute(lost), |_| true).await;
    };
    assert!(begun > 3 && done.promoted, "{begun} {done:?}");
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn a_rebuild_survives_the_death_of_postgres() {
    let folder = TempDir::new().unwrap();
    let parent =
        std::path::Path::new("/tmp").join(format!("orderstore-builds-{}", std::process::id()));
    std::fs::create_dir_all(&parent).unwrap();
    let mut cluster = cluster_in(&parent).await;
    let world = World::open_at(&cluster.url()).await;
    let live = history(&world, 5).await;
    let mut dice = Dice::new(5);
    let mut deaths = 0;
    let rebuild = start(&world, tiny(&folder)).await.unwrap();
    while !rebuild.is_finished() && deaths < 4 {
        sleep(Duration::from_millis(u64::from(dice.roll(150)))).await;
        Command::new("kill").args(["-9", &cluster.pid().to_string()]).status().unwrap();
        cluster.exited().await;
        drop(cluster);
        cluster = cluster_in(&parent).await;
        deaths += 1;
    }
    let ask = || async { (rebuild.is_finished(), rebuild.progress()) };
    eventually("finished", ask, |(finished, _)| *finished).await;
    let done = rebuild.finish().await.unwrap();
    assert!(done.promoted, "{done:?}");
    assert_eq!(world.dump().await, live);
    drop(cluster);
    let _ = std::fs::remove_dir_all(parent);
}

#[tokio::test]
async fn a_paused_rebuild_stands_still_until_it_is_resumed() {
    let world = World::open().await;
    let live = history(&world, 6).await;
    let folder = TempDir::new().unwrap();
    // Left by its process, and paused before the next one takes it over.
    drop(start(&world, tiny(&folder)).await.unwrap());
    let held = "update orderstore.builds set holder = null";
    world.execute(held).await;
    projector::pause(&world.url, &[]).await.unwrap();
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let paused = |it: &&ProjectionStatus| it.paused.is_some();
    let is_building = |it: &&ProjectionStatus| it.state == GenerationState::Building;
    assert_eq!(all.iter().filter(paused).count(), all.iter().filter(is_building).count());
    assert!(all.iter().any(|it| it.paused.is_some()), "{all:?}");
    let rebuild = start(&world, tiny(&folder)).await.unwrap();
    assert_eq!(projector::pause(&world.url, &[ORDERS]).await.unwrap().len(), 6);
    eventually(
        "paused",
        || async { rebuild.progress() },
        |it| it.paused || it.phase == Phase::Done,
    )
    .await;
    let before = rebuild.progress();
    if before.phase != Phase::Done {
        sleep(Duration::from_millis(600)).await;
        assert!(!rebuild.is_finished(), "{:?}", rebuild.progress());
    }
    projector::resume(&world.url, &[]).await.unwrap();
    timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn a_rebuild_that_is_asked_for_again_ends_as_is_wanted_now() {
    let world = World::open().await;
    history(&world, 11).await;
    let folder = TempDir::new().unwrap();
    let waits = || RebuildOptions { promote: false, ..tiny(&folder) };
    for (before, now) in [(tiny(&folder), waits()), (waits(), tiny(&folder))] {
        let promote = now.promote;
        left_behind(&world, before).await;
        let left = world.number("select max(id) from orderstore.builds").await;
        let done = rebuild(&world, now).await;
        assert_eq!((done.progress.run, done.promoted), (left, promote), "{done:?}");
    }
    // Rows that differ were to be taken as they are, and are not any more.
    let any = RebuildOptions { compare: false, ..tiny(&folder) };
    left_behind(&world, any).await;
    let meddled = "update read_model.payments set updated_at = now()";
    world.execute(meddled).await;
    let done = rebuild(&world, tiny(&folder)).await;
    assert!(!done.promoted, "{done:?}");
}

#[tokio::test]
async fn what_was_killed_a_moment_ago_is_waited_for_and_not_said_to_be_going_on() {
    let world = World::open().await;
    let live = history(&world, 12).await;
    let folder = TempDir::new().unwrap();
    left_behind(&world, tiny(&folder)).await;
    let killed = "update orderstore.builds \
         set holder = gen_random_uuid(), updated_at = clock_timestamp()";
    world.execute(killed).await;
    let done = rebuild(&world, tiny(&folder)).await;
    assert!(done.promoted, "{done:?}");
    assert_eq!(world.number("select count(*) from orderstore.builds").await, 1);
    assert_eq!(world.dump().await, live);
}

/// A rebuild whose process has gone.
async fn left_behind(world: &World, options: RebuildOptions) {
    start(world, options).await.unwrap().stop().await;
    let unfinished = "select count(*) from orderstore.builds \
         where phase not in ('ready', 'done', 'given-up')";
    assert_eq!(world.number(unfinished).await, 1, "it was not stopped in time");
}

#[tokio::test]
async fn of_two_who_carry_out_the_same_rebuild_one_stands_down() {
    let world = World::open().await;
    let live = history(&world, 7).await;
    let folder = TempDir::new().unwrap();
    let first = start(&world, tiny(&folder)).await.unwrap();
    projector::pause(&world.url, &[]).await.unwrap();
    eventually("paused", || async { first.progress() }, |it| it.paused || it.phase == Phase::Done)
        .await;
    let second = start(&world, tiny(&folder)).await;
    assert!(matches!(second, Err(Error::BeingBuilt { paused: true, .. })), "{second:?}");
    // The first one looks dead, and is not.
    let elsewhere = TempDir::new().unwrap();
    world
        .execute("update orderstore.builds set holder = null, updated_at = updated_at - interval '1 hour'")
        .await;
    let second = start(&world, tiny(&elsewhere)).await.unwrap();
    let lost = timeout(DEADLINE, first.finish()).await.unwrap();
    assert!(matches!(lost, Err(Error::TakenOver { .. })), "{lost:?}");
    timeout(DEADLINE, second.finish()).await.unwrap().unwrap();
    assert_eq!(world.dump().await, live);
}

#[tokio::test]
async fn a_generation_that_is_not_to_be_promoted_waits() {
    let world = World::open().await;
    history(&world, 8).await;
    let folder = TempDir::new().unwrap();
    let options = RebuildOptions { promote: false, ..tiny(&folder) };
    let done = rebuild(&world, options).await;
    assert!(!done.promoted && done.progress.phase == Phase::Ready, "{done:?}");
    assert!(done.projections.iter().all(|it| it.filled && it.refusal.is_some()), "{done:?}");
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let building = all.iter().filter(|it| it.state == GenerationState::Building).count();
    assert_eq!(building, 6);
}

#[tokio::test]
async fn a_generation_that_differs_too_much_waits() {
    let world = World::open().await;
    world.trade(0..12).await;
    let folder = TempDir::new().unwrap();
    let projector = world.projector();
    settled(&world, &projector).await;
    projector.stop().await;
    world.execute("update payments_g1.payments set updated_at = now()").await;
    let done = rebuild(&world, tiny(&folder)).await;
    assert!(!done.promoted, "{done:?}");
    for one in &done.projections {
        let differs = one.projection == ProjectionName::Payments;
        assert_eq!((one.promoted, one.refusal.is_some()), (!differs, differs), "{one:?}");
        assert_eq!(one.compared.unwrap().differing > 0, differs, "{one:?}");
    }
    let options = RebuildOptions { compare: false, ..tiny(&folder) };
    let done = rebuild(&world, options).await;
    assert!(done.promoted && done.projections.iter().all(|it| it.compared.is_none()), "{done:?}");
}

#[tokio::test]
async fn a_plan_says_what_there_is_and_what_an_earlier_rebuild_took() {
    let world = World::open().await;
    history(&world, 9).await;
    let folder = TempDir::new().unwrap();
    let options = tiny(&folder);
    let plan = projector::plan(&world.url, &world.journal, &ALL, &options).await.unwrap();
    assert_eq!((plan.seconds, plan.events, plan.projections.len()), (None, None, 6));
    assert!(plan.database_bytes > 0 && plan.spill_dir_free_bytes.is_some());
    assert_eq!(plan.busy, []);
    rebuild(&world, options.clone()).await;
    let plan = projector::plan(&world.url, &world.journal, &ALL, &options).await.unwrap();
    assert_eq!(plan.events, Some(events_of(&world).await));
    assert!(plan.seconds.is_some_and(|seconds| seconds > 0.0));
    // Of some of them, their share of it.
    let part = [ProjectionName::Payments, ProjectionName::Orders];
    let of_part = projector::plan(&world.url, &world.journal, &part, &options).await.unwrap();
    assert!(of_part.events > Some(0) && of_part.events < plan.events, "{of_part:?}");
    assert!(of_part.seconds > Some(0.0) && of_part.seconds < plan.seconds, "{of_part:?}");
    let rows: u64 = plan.projections.iter().map(|it| it.rows).sum();
    assert!(rows > 0, "{plan:?}");
}

#[tokio::test]
async fn a_plan_names_what_waits_to_be_promoted_until_it_does_not_wait_any_more() {
    let world = World::open().await;
    history(&world, 10).await;
    let folder = TempDir::new().unwrap();
    let options = RebuildOptions { promote: false, ..tiny(&folder) };
    rebuild(&world, options.clone()).await;
    let busy = async || {
        let plan = projector::plan(&world.url, &world.journal, &ALL, &options).await;
        plan.unwrap().busy
    };
    assert_eq!(busy().await.len(), 1);
    for name in ALL {
        projector::drop_generation(&world.url, name, 2).await.unwrap();
    }
    assert_eq!(busy().await, []);
}

#[tokio::test]
async fn a_rebuild_that_cannot_reach_the_event_store_leaves_nothing_to_be_built() {
    let world = World::open().await;
    history(&world, 11).await;
    let nowhere = journal::Options::new("esdb://127.0.0.1:1?tls=false".parse().unwrap());
    let nowhere = nowhere.with_deadline(Duration::from_millis(200));
    let journal = Journal::connect(nowhere, world.journal.clock().clone()).unwrap();
    let folder = TempDir::new().unwrap();
    let options = RebuildOptions { partitions: None, ..tiny(&folder) };

    let started = Rebuild::start(&world.url, journal, &ALL, options).await;

    assert!(matches!(started, Err(Error::EventStore(_))), "it has begun");
    let building = "select count(*) from orderstore.projections where state = 'building'";
    assert_eq!(world.number(building).await, 0);
}

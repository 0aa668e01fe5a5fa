//! Indexes that only readers need: made last, and always there when somebody can read.

use projector::{Error, GenerationState, ProjectionName, PromoteOptions, Rebuild, RebuildOptions};
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::history::{order_stream, placed};
use crate::world::{DEADLINE, World, eventually, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;

fn options(folder: &TempDir) -> RebuildOptions {
    RebuildOptions { spill_dir: folder.path().to_owned(), ..RebuildOptions::from(World::options()) }
}

async fn start(world: &World, names: &[ProjectionName], options: RebuildOptions) -> Rebuild {
    Rebuild::start(&world.url, world.journal.clone(), names, options).await.unwrap()
}

/// The definitions of all indexes of the generations in a state, by projection.
async fn indexes_of(world: &World, state: GenerationState) -> Vec<String> {
    const INDEXES: &str = "select replace(i.indexdef, i.schemaname || '.', p.name || '.') \
         from pg_indexes i join orderstore.projections p \
         on i.schemaname = p.name || '_g' || p.generation where p.state = $1 order by 1";
    let mut connection = world.connection().await;
    let state = format!("{state:?}").to_lowercase();
    sqlx::query_scalar(INDEXES).bind(state).fetch_all(&mut connection).await.unwrap()
}

async fn lock(connection: &mut PgConnection, what: &'static str) {
    sqlx::raw_sql(what).execute(connection).await.unwrap();
}

/// A rebuild of orders that somebody keeps from making the indexes of generation 2, until the
/// answered connection ends its transaction.
async fn kept_from_indexing(world: &World, folder: &TempDir) -> (Rebuild, PgConnection) {
    let (mut comparing, mut indexing) = (world.connection().await, world.connection().await);
    // The new generation is there when it is compared.
    lock(&mut comparing, "begin; lock table orders_g1.orders in access exclusive mode").await;
    let rebuild = start(world, &[ORDERS], options(folder)).await;
    let waits = "select count(*) from pg_locks where not granted \
         and relation in ('orders_g1.orders'::regclass, to_regclass('orders_g2.orders'))";
    eventually("compared", || world.number(waits), |count| *count > 0).await;
    lock(&mut indexing, "begin; lock table orders_g2.orders in row exclusive mode").await;
    lock(&mut comparing, "rollback").await;
    let waits = "select count(*) from pg_locks where not granted and mode = 'ShareLock' \
         and relation = 'orders_g2.orders'::regclass";
    eventually("indexed", || world.number(waits), |count| *count > 0).await;
    (rebuild, indexing)
}

#[tokio::test]
async fn whatever_a_new_generation_waits_for_it_has_all_indexes() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..12).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let indexes = indexes_of(&world, GenerationState::Live).await;
    assert!(indexes.len() > 40, "{indexes:#?}");
    let folder = TempDir::new().unwrap();
    let unpromoted = RebuildOptions { promote: false, ..options(&folder) };
    for wanted in [unpromoted, options(&folder)] {
        let promoted = wanted.promote;
        let rebuild = start(&world, &ProjectionName::ALL, wanted).await;
        let done = timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
        assert_eq!(done.promoted, promoted);
        let state = if promoted { GenerationState::Live } else { GenerationState::Building };
        assert_eq!(indexes_of(&world, state).await, indexes);
    }
    world.execute("update orders_g3.orders set updated_at = now()").await;
    let rebuild = start(&world, &[ORDERS], options(&folder)).await;
    let refused = timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert!(!refused.promoted && refused.projections[0].refusal.is_some(), "{refused:?}");
    let of_orders: Vec<_> = indexes.into_iter().filter(|it| it.contains(" orders.")).collect();
    assert_eq!(indexes_of(&world, GenerationState::Building).await, of_orders);
}

#[tokio::test]
async fn nobody_shows_readers_a_generation_without_its_indexes() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..12).await;
    settled(&world, &projector).await;
    let indexes = indexes_of(&world, GenerationState::Live).await;
    let orders = world.number("select count(*) from orders_g1.orders").await;
    let folder = TempDir::new().unwrap();
    let (rebuild, mut indexing) = kept_from_indexing(&world, &folder).await;
    let promoted =
        projector::promote(&world.url, &world.journal, ORDERS, PromoteOptions::default()).await;
    assert!(matches!(promoted, Err(Error::StillBuilding { .. })), "{promoted:?}");
    // What happens meanwhile is not folded then, but it is not lost either.
    world.append(&order_stream(900), &[placed(900)]).await;
    settled(&world, &projector).await;
    // Workers are kept away for longer than they respect somebody who is dead.
    let epoch = "select epoch from orderstore.checkpoints \
         where projection = 'orders' and generation = 2";
    let before = world.number(epoch).await;
    let held = "select count(*) from orderstore.checkpoints where projection = 'orders' \
         and generation = 2 and updated_at > held_since + interval '1500 ms'";
    eventually("kept", || world.number(held), |count| *count == 1).await;
    assert_eq!(world.number(epoch).await, before);
    let waits = "select count(*) from pg_locks where not granted and mode = 'RowExclusiveLock' \
         and relation = 'orders_g2.orders'::regclass";
    assert_eq!(world.number(waits).await, 0);
    lock(&mut indexing, "rollback").await;
    let done = timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert!(done.promoted, "{done:?}");
    assert_eq!(indexes_of(&world, GenerationState::Live).await, indexes);
    settled(&world, &projector).await;
    assert_eq!(world.number("select count(*) from orders_g2.orders").await, orders + 1);
    projector.stop().await;
}

#[tokio::test]
async fn a_run_that_is_killed_before_its_indexes_are_there_makes_them_the_next_time() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..12).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let live = world.dump().await;
    let indexes = indexes_of(&world, GenerationState::Live).await;
    let folder = TempDir::new().unwrap();
    let (rebuild, mut indexing) = kept_from_indexing(&world, &folder).await;
    drop(rebuild);
    lock(&mut indexing, "rollback").await;
    let promoted =
        projector::promote(&world.url, &world.journal, ORDERS, PromoteOptions::default()).await;
    assert!(matches!(promoted, Err(Error::StillBuilding { .. })), "{promoted:?}");
    world.execute("update orderstore.builds set holder = null").await;
    let rebuild = start(&world, &[ORDERS], options(&folder)).await;
    let done = timeout(DEADLINE, rebuild.finish()).await.unwrap().unwrap();
    assert!(done.promoted && done.projections[0].generation == 2, "{done:?}");
    assert_eq!(indexes_of(&world, GenerationState::Live).await, indexes);
    assert_eq!(world.dump().await, live);
}

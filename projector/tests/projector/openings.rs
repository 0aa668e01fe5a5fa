//! How readers come to see the first generation of a projection.

use projector::{Error, ProjectionName, Rebuild, RebuildOptions, VerifyOptions, read_model};
use sqlx::Executor;
use tempfile::TempDir;

use crate::history::{received, stock_stream};
use crate::world::{World, eventually, settled};

/// More than a worker folds at once.
const MANY: u32 = 1_100;

async fn many_receipts(world: &World) {
    let receipts: Vec<_> = (0..MANY).map(|number| received(number, 1)).collect();
    world.append(&stock_stream(1), &receipts).await;
}

async fn builds(world: &World) -> i64 {
    world.number("select count(*) from orderstore.builds").await
}

async fn movements(world: &World) -> i64 {
    world.number("select count(*) from read_model.stock_movements").await
}

const STOCK: [ProjectionName; 1] = [ProjectionName::StockLevels];

async fn rebuild_of_stock(world: &World, folder: &TempDir) -> Rebuild {
    let options = RebuildOptions {
        spill_dir: folder.path().to_owned(),
        ..RebuildOptions::from(World::options())
    };
    Rebuild::start(&world.url, world.journal.clone(), &STOCK, options).await.unwrap()
}

#[tokio::test]
async fn a_first_generation_is_not_seen_before_it_is_complete() {
    let world = World::open().await;
    many_receipts(&world).await;
    projector::migrate(&world.url).await.unwrap();
    let reader = world.reader();
    let unseen = reader.freshness(ProjectionName::StockLevels).await;
    assert!(matches!(unseen, Err(read_model::Error::NotReady(_))), "{unseen:?}");
    let refused = reader.stock_by_skus(&["SKU-01".to_owned()]).await;
    assert!(matches!(refused, Err(read_model::Error::NotReady(_))), "{refused:?}");
    let mut connection = world.connection().await;
    let told = connection.execute("select * from read_model.stock_movements").await.unwrap_err();
    let told = told.to_string();
    assert!(
        told.contains("read_model.stock_movements is being built for the first time"),
        "{told}"
    );

    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(movements(&world).await, i64::from(MANY));
    assert!(reader.freshness(ProjectionName::StockLevels).await.unwrap().caught_up);
    // It was built, and there is nothing to roll back to.
    assert_eq!(builds(&world).await, 1);
    let generations = "select count(*) from orderstore.projections";
    let all = i64::try_from(ProjectionName::ALL.len()).unwrap();
    assert_eq!(world.number(generations).await, all);
    projector.stop().await;
}

#[tokio::test]
async fn a_first_generation_that_is_being_built_is_not_verified() {
    let world = World::open().await;
    many_receipts(&world).await;
    let folder = TempDir::new().unwrap();
    drop(rebuild_of_stock(&world, &folder).await);
    let (journal, options) = (world.journal.clone(), VerifyOptions::default());
    let verified = projector::verify(&world.url, journal, &STOCK, options).await;
    assert!(matches!(verified, Err(Error::StillBuilding { .. })), "{verified:?}");
}

#[tokio::test]
async fn a_log_with_next_to_nothing_in_it_is_folded_without_a_build() {
    let world = World::open().await;
    world.append(&stock_stream(1), &[received(1, 5)]).await;
    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(movements(&world).await, 1);
    assert_eq!(builds(&world).await, 0);
    projector.stop().await;
}

#[tokio::test]
async fn what_little_there_is_in_a_log_is_seen_whole() {
    let world = World::open().await;
    world.append(&stock_stream(1), &[received(1, 5)]).await;
    projector::migrate(&world.url).await.unwrap();
    let mut other = world.connection().await;
    // Whoever folds it can begin, and cannot write.
    let hold = "begin; lock table stock_levels_g1.stock_movements in exclusive mode";
    other.execute(hold).await.unwrap();
    let projector = world.projector();
    let begun = "select count(*) from orderstore.checkpoints \
         where projection = 'stock_levels' and epoch > 0";
    eventually("begun", || world.number(begun), |begun| *begun > 0).await;
    let seen = world.connection().await.execute("select * from read_model.stock_movements").await;
    assert!(seen.unwrap_err().to_string().contains("is being built for the first time"));
    other.execute("rollback").await.unwrap();
    settled(&world, &projector).await;
    assert_eq!(movements(&world).await, 1);
    projector.stop().await;
}

#[tokio::test]
async fn a_rebuild_of_what_nobody_has_seen_fills_the_first_generation() {
    let world = World::open().await;
    many_receipts(&world).await;
    let folder = TempDir::new().unwrap();
    let report = rebuild_of_stock(&world, &folder).await.finish().await.unwrap();
    assert!(report.promoted, "{report:?}");
    assert_eq!(movements(&world).await, i64::from(MANY));
    let first = "select generation from orderstore.projections \
         where name = 'stock_levels' and state = 'live'";
    assert_eq!(world.number(first).await, 1);
}

#[tokio::test]
async fn rights_that_were_given_before_anything_was_built_hold_afterwards() {
    let world = World::open().await;
    many_receipts(&world).await;
    projector::migrate(&world.url).await.unwrap();
    world.execute("create role clerk_of_openings").await;
    world.execute("grant select on read_model.stock_levels to clerk_of_openings").await;
    let projector = world.projector();
    settled(&world, &projector).await;
    let allowed = "select has_table_privilege('clerk_of_openings', 'read_model.stock_levels', \
         'select')::int::bigint";
    assert_eq!(world.number(allowed).await, 1);
    projector.stop().await;
    world.execute("drop owned by clerk_of_openings").await;
    world.execute("drop role clerk_of_openings").await;
}

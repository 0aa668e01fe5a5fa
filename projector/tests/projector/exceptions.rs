//! What is passed over is passed over everywhere, and what nobody can read stops a stream only where
//! something comes after it.

use projector::quarantine::{self, Skip, Tried};
use projector::{
    Error, ProjectionName, Rebuild, RebuildOptions, Sample, StreamOutcome, Verification,
    VerifyOptions,
};
use schemas::{StoredEvent, StreamName};

use crate::history::{confirmed, order_stream, placed, shipped};
use crate::world::{World, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;

async fn rebuilt(world: &World, promote: bool) {
    let options = RebuildOptions { promote, ..RebuildOptions::from(World::options()) };
    let rebuild = Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], options).await;
    rebuild.unwrap().finish().await.unwrap();
}

async fn skip(world: &World, stream: &StreamName, revision: u64) -> Result<Vec<Tried>, Error> {
    let (actor, reason) = ("ann".to_owned(), "written by mistake".to_owned());
    let skip = Skip { revision, actor, reason };
    quarantine::skip(&world.url, &world.journal, ORDERS, stream, skip).await
}

async fn verified(world: &World, heal: bool) -> Verification {
    let options = VerifyOptions { sample: Sample::All, heal, ..VerifyOptions::default() };
    let verified = projector::verify(&world.url, world.journal.clone(), &[ORDERS], options);
    verified.await.unwrap().remove(0)
}

const SKIPPED: &str = "select count(*) from orderstore.skipped";

/// Order 1 is stuck at event 1 in generation 1, which readers see. Generation 2, which waits beside
/// it, knows that event.
async fn stuck_beside_a_better_one() -> World {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(1), &[placed(1)]).await;
    settled(&world, &projector).await;
    projector.stop().await;
    world
        .execute(
            "insert into orderstore.quarantine (projection, generation, stream, revision, error) \
             select 'orders', 1, 'order-' || id, 1, 'unknown' from orders_g1.orders",
        )
        .await;
    world.execute("update orders_g1.orders set quarantined = true").await;
    world.append(&order_stream(1), &[confirmed()]).await;
    rebuilt(&world, false).await;
    let folded =
        "select count(*) from orders_g2.orders where revision = 1 and status = 'confirmed'";
    assert_eq!(world.number(folded).await, 1);
    world
}

#[tokio::test]
async fn what_is_skipped_is_taken_out_of_a_generation_that_had_folded_it() {
    let world = stuck_beside_a_better_one().await;
    let stream = order_stream(1);
    let tried = skip(&world, &stream, 1).await.unwrap();
    let tried: Vec<_> = tried.into_iter().map(|it| (it.generation, it.stuck)).collect();
    assert_eq!(tried, [(1, None), (2, None)]);
    for pending in [
        "select count(*) from orders_g1.orders where revision = 1 and status = 'pending'",
        "select count(*) from orders_g2.orders where revision = 1 and status = 'pending'",
    ] {
        assert_eq!(world.number(pending).await, 1, "{pending}");
    }
    assert!(verified(&world, false).await.is_clean());

    // Of another version, it would keep what is taken back here.
    world
        .execute("update orderstore.projections set version = version + 1 where generation = 2")
        .await;
    let refused = quarantine::unskip(&world.url, &world.journal, ORDERS, &stream).await;
    assert!(matches!(refused, Err(Error::PastElsewhere { generation: 2, .. })), "{refused:?}");
    assert_eq!(world.number(SKIPPED).await, 1);
    projector::drop_generation(&world.url, ORDERS, 2).await.unwrap();
    quarantine::unskip(&world.url, &world.journal, ORDERS, &stream).await.unwrap();
    assert_eq!(world.number(SKIPPED).await, 0);
}

#[tokio::test]
async fn nothing_is_skipped_that_not_all_generations_could_pass_over() {
    let world = stuck_beside_a_better_one().await;
    let stream = order_stream(1);
    world
        .execute("update orderstore.projections set version = version + 1 where generation = 2")
        .await;
    let refused = skip(&world, &stream, 1).await;
    assert!(matches!(refused, Err(Error::PastElsewhere { generation: 2, .. })), "{refused:?}");
    world
        .execute("update orderstore.projections set version = version - 1 where generation = 2")
        .await;
    world
        .execute("update orderstore.build_generations set filled = false where generation = 2")
        .await;
    let refused = skip(&world, &stream, 1).await;
    assert!(matches!(refused, Err(Error::BeingBuilt { .. })), "{refused:?}");
    world
        .execute("update orderstore.build_generations set filled = true where generation = 2")
        .await;
    // Only the one that nobody reads is stuck.
    world.execute("update orderstore.quarantine set generation = 2").await;
    world.execute("update orders_g1.orders set revision = 1, quarantined = false").await;
    let refused = skip(&world, &stream, 1).await;
    assert!(matches!(refused, Err(Error::InLiveRows { .. })), "{refused:?}");
    assert_eq!(world.number(SKIPPED).await, 0);
}

#[tokio::test]
async fn an_event_that_nobody_can_read_is_in_the_way_only_of_those_behind_it() {
    let world = World::open().await;
    let projector = world.projector();
    let stream = order_stream(1);
    world.append(&stream, &[placed(1)]).await;
    world.append_foreign(&stream).await;
    // A stream in which there is nothing else.
    world.append_foreign(&order_stream(2)).await;
    world.append(&order_stream(3), &[placed(3)]).await;
    settled(&world, &projector).await;
    let live = world.dump().await;
    assert!(verified(&world, true).await.is_clean());
    let again =
        projector::rebuild_stream(&world.url, world.journal.clone(), &stream).await.unwrap();
    let outcomes: Vec<_> = again.into_iter().map(|it| it.outcome).collect();
    assert!(outcomes.contains(&StreamOutcome::Rebuilt { events: 1 }), "{outcomes:?}");
    assert_eq!(world.dump().await, live);

    world.append_after(Some(1), &stream, vec![confirmed().encode()]).await;
    settled(&world, &projector).await;
    let [waiting] = quarantine::list(&world.url, &world.journal).await.unwrap().try_into().unwrap();
    assert_eq!((waiting.stream, waiting.revision), (stream.clone(), 1));
    assert!(verified(&world, false).await.is_clean());

    skip(&world, &stream, 1).await.unwrap();
    world.append(&stream, &[shipped()]).await;
    settled(&world, &projector).await;
    let sound = "select count(*) from orders_g1.orders where revision = 3 and not quarantined";
    assert_eq!(world.number(sound).await, 1);
    let found = verified(&world, true).await;
    assert!(found.is_clean(), "{found}");
    let live = world.dump().await;
    rebuilt(&world, true).await;
    assert_eq!(world.dump().await, live);
    assert!(verified(&world, false).await.is_clean());
}

//! How generations compared, and why one waits, is in the status afterwards.

use projector::{
    Error, GenerationState, ProjectionName, ProjectionStatus, PromoteOptions, Rebuild,
    RebuildOptions,
};

use crate::world::{World, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;

async fn rebuilt(world: &World, options: RebuildOptions) {
    let rebuild = Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], options).await;
    rebuild.unwrap().finish().await.unwrap();
}

fn options() -> RebuildOptions {
    RebuildOptions::from(World::options())
}

async fn promote(world: &World, max_differing: Option<u64>) -> Result<projector::Changed, Error> {
    let options = PromoteOptions { max_differing };
    projector::promote(&world.url, &world.journal, ORDERS, options).await
}

async fn generation(world: &World, number: i64) -> ProjectionStatus {
    let all = projector::status(&world.url, &world.journal).await.unwrap();
    let one = all.into_iter().find(|it| it.projection == ORDERS && it.generation == number);
    one.unwrap()
}

/// Eight orders in generation 1, of which readers see some in another channel than they are in.
async fn somewhat_wrong() -> (World, u64) {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..8).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let wrong = world.execute("update orders_g1.orders set channel = 'market'").await;
    (world, wrong)
}

#[tokio::test]
async fn a_rebuild_that_was_not_promoted_says_so_until_somebody_promotes_it() {
    let (world, wrong) = somewhat_wrong().await;
    assert_eq!(generation(&world, 1).await.verdict, projector::Verdict::default());
    rebuilt(&world, options()).await;

    let refused = generation(&world, 2).await;
    assert_eq!(refused.state, GenerationState::Building);
    let compared = refused.verdict.compared.unwrap();
    assert_eq!((compared.with, compared.found.differing), (1, wrong));
    assert_eq!(compared.found.not_compared, 0);
    assert!(compared.found.rows > wrong, "{compared:?}");
    let refusal = refused.verdict.refusal.unwrap();
    assert!(refusal.why.contains(&format!("{wrong} rows")), "{refusal:?}");
    assert!(refusal.at >= compared.at);
    assert_eq!(generation(&world, 1).await.verdict, projector::Verdict::default());

    let projector = world.projector();
    settled(&world, &projector).await;
    promote(&world, Some(wrong)).await.unwrap();
    let promoted = generation(&world, 2).await;
    assert_eq!((promoted.state, promoted.verdict.refusal), (GenerationState::Live, None));
    let again = promoted.verdict.compared.unwrap();
    assert_eq!((again.with, again.found), (1, compared.found));
    assert!(again.at > compared.at);
}

#[tokio::test]
async fn a_promotion_by_hand_that_is_refused_is_noted_and_one_that_is_not_wanted_is_said_so() {
    let (world, wrong) = somewhat_wrong().await;
    let projector = world.projector();
    rebuilt(&world, RebuildOptions { promote: false, ..options() }).await;
    settled(&world, &projector).await;
    let waiting = generation(&world, 2).await.verdict;
    assert_eq!(waiting.compared, None);
    assert!(waiting.refusal.unwrap().why.contains("it is not to be promoted"));

    let refused = promote(&world, None).await.unwrap_err();
    let verdict = generation(&world, 2).await.verdict;
    assert_eq!(verdict.refusal.unwrap().why, refused.to_string());
    assert_eq!(verdict.compared.unwrap().found.differing, wrong);
    projector::drop_generation(&world.url, ORDERS, 2).await.unwrap();
    assert_eq!(world.reader().verdicts().await.unwrap().len(), 0);
}

#[tokio::test]
async fn where_an_older_build_has_set_the_database_up_nothing_is_known_and_all_else_works() {
    let (world, wrong) = somewhat_wrong().await;
    let projector = world.projector();
    rebuilt(&world, RebuildOptions { promote: false, ..options() }).await;
    settled(&world, &projector).await;
    world.execute("drop table orderstore.verdicts").await;
    assert_eq!(generation(&world, 2).await.verdict, projector::Verdict::default());
    assert_eq!(world.reader().verdicts().await.unwrap().len(), 0);
    assert!(matches!(promote(&world, None).await, Err(Error::TooDifferent { .. })));
    promote(&world, Some(wrong)).await.unwrap();
    assert_eq!(generation(&world, 2).await.state, GenerationState::Live);
}

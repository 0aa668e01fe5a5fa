//! Two generations are compared row by row, while both go on moving.

use projector::compare::Difference;
use projector::{Comparison, Error, ProjectionName, Projector, Rebuild, diff};
use sqlx::AssertSqlSafe;

use crate::history::{cancelled, confirmed, order_id, order_stream, placed};
use crate::world::{World, eventually, settled};

const ORDERS: ProjectionName = ProjectionName::Orders;

async fn compared(world: &World) -> Comparison {
    diff(&world.url, world.journal.clone(), ORDERS).await.unwrap()
}

async fn run(world: &World, statement: impl Into<String>) {
    let mut connection = world.connection().await;
    let statement = AssertSqlSafe(statement.into());
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
}

/// Orders in two generations, 1 and 2, both of which are kept up to date by the projector.
async fn twice(orders: std::ops::Range<u32>) -> (World, Projector) {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(orders).await;
    settled(&world, &projector).await;
    let rebuild =
        Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
    rebuild.unwrap().finish().await.unwrap();
    (world, projector)
}

/// The same with nobody who keeps them up to date.
async fn at_rest(orders: std::ops::Range<u32>) -> World {
    let (world, projector) = twice(orders).await;
    settled(&world, &projector).await;
    projector.stop().await;
    let level = "update orderstore.checkpoints c set \
         commit_position = o.commit_position, prepare_position = o.prepare_position \
         from orderstore.checkpoints o where c.projection = 'orders' \
         and o.projection = 'orders' and o.generation = 2 and c.generation = 1";
    run(&world, level).await;
    world
}

/// How many events a generation shows in the timelines of its orders.
async fn of_timeline(world: &World, generation: i64) -> i64 {
    let count = AssertSqlSafe(format!("select count(*) from orders_g{generation}.order_timeline"));
    sqlx::query_scalar(count).fetch_one(&mut world.connection().await).await.unwrap()
}

#[tokio::test]
async fn a_lonely_generation_is_compared_with_nothing() {
    let world = World::open().await;
    projector::migrate(&world.url).await.unwrap();
    let lonely = diff(&world.url, world.journal.clone(), ORDERS).await;
    assert!(matches!(lonely, Err(Error::NothingToCompare { projection: ORDERS })), "{lonely:?}");
}

#[tokio::test]
async fn generations_that_are_the_same_have_no_difference_while_events_flow() {
    let (world, projector) = twice(0..16).await;
    let trading = async {
        for number in 16..56 {
            world.trade(number..number + 1).await;
        }
    };
    let comparing = async {
        for _ in 0..4 {
            let comparison = compared(&world).await;
            assert_eq!(comparison.differing(), 0, "{comparison}");
            assert!(comparison.streams + comparison.not_compared >= 16, "{comparison}");
        }
    };
    tokio::join!(trading, comparing);
    settled(&world, &projector).await;
    let comparison = compared(&world).await;
    assert_eq!((comparison.streams, comparison.not_compared), (56, 0), "{comparison}");
    assert_eq!((comparison.differing(), comparison.sums.len()), (0, 2), "{comparison}");
    let orders = &comparison.tables[0];
    assert_eq!((orders.table.as_str(), orders.rows_blue, orders.rows_green), ("orders", 56, 56));
}

#[tokio::test]
async fn rows_that_differ_are_told_by_column_with_the_event_behind_them() {
    let world = at_rest(0..16).await;
    assert!(compared(&world).await.sums_compared);
    let (three, four, five) = (order_id(3).0, order_id(4).0, order_id(5).0);
    run(&world, format!("update orders_g2.orders set total_minor = total_minor + 1, country = 'FR' where id = '{four}'")).await;
    run(
        &world,
        format!("update orders_g2.orders set total_minor = total_minor + 1 where id = '{three}'"),
    )
    .await;
    run(
        &world,
        format!("delete from orders_g2.order_lines where order_id = '{five}' and line = 0"),
    )
    .await;
    run(
        &world,
        format!("update orders_g2.order_lines set line = 9 where order_id = '{five}' and line = 1"),
    )
    .await;

    let comparison = compared(&world).await;
    let [orders, lines, ..] = &comparison.tables[..] else { panic!("{comparison}") };
    assert_eq!((orders.added, orders.removed, orders.changed), (0, 0, 2), "{comparison}");
    let columns: Vec<_> =
        orders.columns.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
    assert_eq!(columns, [("country", 1), ("total_minor", 2)]);
    assert_eq!((lines.added, lines.removed, lines.changed), (1, 2, 0));

    let name = order_stream(4).to_string();
    let of = |sample: &&projector::compare::RowSample| sample.stream.as_deref() == Some(&name);
    let sample = orders.samples.iter().find(of).unwrap();
    assert_eq!(sample.difference, Difference::Changed);
    let country = &sample.columns["country"];
    assert_eq!((country.blue.as_str(), country.green.as_str()), (Some("GB"), Some("FR")));
    let event = sample.event.as_ref().unwrap();
    assert_eq!((event.event_type.as_str(), event.revision), ("order-completed", 3));
    assert_eq!(event.actor, "test:projector");
    assert!(lines.samples.iter().all(|sample| sample.event.is_some()), "{comparison}");

    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["projection"], "orders");
    assert_eq!(json["tables"][0]["columns"]["total_minor"], 2);
    let text = comparison.to_string();
    assert!(
        text.contains("country: \"GB\" → \"FR\"") && text.contains("order-completed"),
        "{text}"
    );
}

#[tokio::test]
async fn streams_that_only_one_has_are_added_or_removed() {
    let world = at_rest(0..8).await;
    for (generation, number) in [(1, 3), (2, 4)] {
        for (table, owner) in
            [("orders", "id"), ("order_lines", "order_id"), ("order_timeline", "order_id")]
        {
            let id = order_id(number).0;
            run(&world, format!("delete from orders_g{generation}.{table} where {owner} = '{id}'"))
                .await;
        }
    }
    let comparison = compared(&world).await;
    let orders = &comparison.tables[0];
    assert_eq!((orders.added, orders.removed, orders.changed), (1, 1, 0), "{comparison}");
    let lines = &comparison.tables[1];
    assert_eq!((lines.added, lines.removed, lines.changed), (2, 2, 0), "{comparison}");
    assert_eq!(comparison.not_compared, 0);
}

#[tokio::test]
async fn a_stream_that_never_stands_still_is_not_compared_and_not_wrong() {
    let world = at_rest(0..8).await;
    // What the live one has folded by now, and the other has not come to.
    let position = world.append(&order_stream(2), &[confirmed()]).await;
    let new = world.append(&order_stream(100), &[placed(100)]).await;
    assert!(new > position);
    let projector = world.projector();
    settled(&world, &projector).await;
    // What readers do not see comes later.
    let (seen, kept) = (of_timeline(&world, 2).await, || of_timeline(&world, 1));
    eventually("both are at the end", kept, |kept| *kept == seen).await;
    projector.stop().await;
    let comparison = compared(&world).await;
    assert_eq!((comparison.differing(), comparison.not_compared), (0, 0), "{comparison}");
    let id = order_id(2).0;
    let back = format!(
        "update orders_g1.orders set revision = 0, status = 'pending' where id = '{id}'; \
         update orderstore.checkpoints set commit_position = {}, prepare_position = {} \
         where projection = 'orders' and generation = 1",
        position.commit - 1,
        position.prepare - 1,
    );
    run(&world, back).await;
    for table in ["orders", "order_lines", "order_timeline"] {
        let owner = if table == "orders" { "id" } else { "order_id" };
        let id = order_id(100).0;
        run(&world, format!("delete from orders_g1.{table} where {owner} = '{id}'")).await;
    }
    let comparison = compared(&world).await;
    assert_eq!(comparison.not_compared, 2, "{comparison}");
    let rows = comparison.tables.iter().map(projector::TableComparison::differing).sum::<u64>();
    assert_eq!((rows, comparison.sums_compared), (0, false), "{comparison}");
    assert!(comparison.not_compared_samples.contains(&order_stream(2).to_string()));

    // Once the other one should have come to it, it is a difference.
    let forth = format!(
        "update orderstore.checkpoints set commit_position = {}, prepare_position = {} \
         where projection = 'orders' and generation = 1",
        new.commit, new.prepare,
    );
    run(&world, forth).await;
    let comparison = compared(&world).await;
    let orders = &comparison.tables[0];
    assert_eq!((comparison.not_compared, orders.added, orders.changed), (0, 1, 1), "{comparison}");
    assert_eq!((orders.columns["revision"], orders.columns["status"]), (1, 1));
}

#[tokio::test]
async fn new_and_dropped_columns_are_named_and_count_only_where_versions_are_the_same() {
    let world = at_rest(0..8).await;
    run(
        &world,
        "alter table orders_g1.orders add column old_fashioned text; \
         alter table orders_g1.orders drop column risk_score; \
         alter table orders_g2.order_lines add column fresh bigint default 7; \
         alter table orders_g1.order_lines alter column title type varchar(200); \
         drop table orders_g1.order_timeline cascade",
    )
    .await;
    let comparison = compared(&world).await;
    let [orders, lines, ..] = &comparison.tables[..] else { panic!("{comparison}") };
    assert_eq!(orders.new_columns, ["risk_score"]);
    assert_eq!(orders.dropped_columns, ["old_fashioned"]);
    assert_eq!(lines.new_columns, ["title", "fresh"]);
    assert_eq!(lines.dropped_columns, ["title"]);
    assert_eq!(comparison.tables_left_out, ["order_timeline"]);
    assert_eq!(comparison.differing(), 5, "somebody has meddled with one of them: {comparison}");
    run(&world, "update orderstore.projections set version = version - 1 where generation = 1")
        .await;
    let comparison = compared(&world).await;
    assert_eq!(comparison.differing(), 0, "{comparison}");
}

#[tokio::test]
async fn sums_that_do_not_add_up_are_differences() {
    let (world, projector) = twice(0..16).await;
    run(&world, "update orders_g2.customers set spent_minor = spent_minor + 1 where orders > 0")
        .await;
    world.append(&order_stream(3), &[cancelled()]).await;
    settled(&world, &projector).await;
    let comparison = compared(&world).await;
    let green = comparison.sums.iter().find(|sums| sums.generation == 2).unwrap();
    let customers = green.tables.iter().find(|table| table.table == "customers").unwrap();
    assert_eq!(customers.columns["spent_minor"], customers.rows_blue, "{comparison}");
    assert!(comparison.differing() >= customers.rows_blue);
    let blue = comparison.sums.iter().find(|sums| sums.generation == 1).unwrap();
    assert!(blue.tables.iter().all(|table| table.differing() == 0), "{comparison}");
}

#[tokio::test]
async fn a_generation_that_is_being_filled_is_not_compared() {
    let world = at_rest(0..4).await;
    run(
        &world,
        "update orderstore.projections set state = 'retired' \
         where name = 'orders' and generation = 1; \
         update orderstore.projections set state = 'live' \
         where name = 'orders' and generation = 2; \
         insert into orderstore.projections select (jsonb_populate_record(p, \
         '{\"generation\": 3, \"state\": \"building\"}')).* from orderstore.projections p \
         where name = 'orders' and generation = 2",
    )
    .await;
    let refused = diff(&world.url, world.journal.clone(), ORDERS).await;
    assert!(matches!(refused, Err(Error::StillBuilding { generation: 3, .. })), "{refused:?}");
}

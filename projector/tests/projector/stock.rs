//! Stock by location, what runs short, and what has moved.

use domain::Decider;
use domain::ids::{LocationCode, MovementId, OrderId, ReceiptId, Sku};
use domain::quantity::Quantity;
use domain::stock::{Acceptance, AdjustReason, Stock, StockCommand, StockPolicy};
use projector::read_model::{
    MovementKind, Reader, StockLevel, StockMovementQuery, StockMovementRow, StockQuery,
};
use schemas::stream_of;
use uuid::Uuid;

use crate::history::at;
use crate::world::{World, settled};

fn sku(code: &str) -> Sku {
    Sku::new(code).unwrap()
}

fn units(count: i64) -> Quantity {
    Quantity::new(count).unwrap()
}

fn receive(number: u128, code: &str, count: i64) -> StockCommand {
    let (receipt, location) = (ReceiptId(Uuid::from_u128(number)), location(code));
    StockCommand::Receive { receipt, location, quantity: units(count) }
}

fn location(code: &str) -> LocationCode {
    LocationCode::new(code).unwrap()
}

fn reserve(number: u128, count: i64) -> StockCommand {
    StockCommand::Reserve {
        order: OrderId(Uuid::from_u128(number)),
        quantity: units(count),
        acceptance: Acceptance::AllOrNothing,
        prefer: None,
        now: at(0),
        expires_at: None,
    }
}

fn set_policy(policy: StockPolicy, low_stock_at: Option<u64>) -> StockCommand {
    StockCommand::SetPolicy { movement: MovementId(Uuid::nil()), policy, low_stock_at }
}

impl World {
    /// Carries `commands` out, as the write path does.
    async fn move_stock(&self, code: &str, commands: Vec<StockCommand>) {
        let mut state = Stock::initial();
        for command in commands {
            let events = Stock::decide(&state, &command).unwrap();
            state = domain::fold::<Stock>(state, &events);
            self.append(&stream_of::<Stock>(&sku(code)), &events).await;
        }
    }
}

async fn movements(reader: &Reader, code: Option<&str>, limit: u32) -> Vec<StockMovementRow> {
    let mut query = StockMovementQuery {
        sku: "MUG".to_owned(),
        location: code.map(str::to_owned),
        after: None,
        limit,
    };
    let mut all = vec![];
    loop {
        let page = reader.stock_movements(&query).await.unwrap();
        assert!(page.len() <= limit as usize);
        let Some(last) = page.last() else { return all };
        query.after = Some(last.place());
        all.extend(page);
    }
}

#[tokio::test]
async fn stock_is_kept_by_location() {
    let world = World::open().await;
    let projector = world.projector();
    let commands = vec![receive(1, "east", 3), receive(2, "west", 4), reserve(7, 5)];
    world.move_stock("MUG", commands).await;
    settled(&world, &projector).await;
    let reader = world.reader();
    let skus = ["MUG".to_owned(), "CUP".to_owned()];
    let [mug] = reader.stock_by_skus(&skus).await.unwrap().try_into().unwrap();
    assert_eq!((mug.on_hand, mug.reserved, mug.available, mug.backordered), (7, 5, 2, 0));
    let rows = reader.stock_locations_of(&skus).await.unwrap();
    let says =
        rows.iter().map(|row| (row.location.as_str(), row.on_hand, row.reserved, row.free()));
    assert_eq!(says.collect::<Vec<_>>(), [("east", 3, 3, 0), ("west", 4, 2, 2)]);
}

#[tokio::test]
async fn what_runs_short_is_found() {
    let world = World::open().await;
    let projector = world.projector();
    let low = || set_policy(StockPolicy::Deny, Some(3));
    world.move_stock("ENOUGH", vec![low(), receive(1, "main", 4)]).await;
    world.move_stock("LOW", vec![low(), receive(1, "main", 4), reserve(7, 1)]).await;
    world.move_stock("OUT", vec![receive(1, "main", 4), reserve(7, 4)]).await;
    let waiting = vec![set_policy(StockPolicy::Backorder, None), reserve(7, 4)];
    world.move_stock("WAITING", waiting).await;
    world.move_stock("UNTRACKED", vec![set_policy(StockPolicy::Untracked, Some(3))]).await;
    settled(&world, &projector).await;
    let reader = world.reader();
    let found = async |levels: &[StockLevel]| {
        let query = StockQuery { levels: levels.to_vec(), ..StockQuery::default() };
        let rows = reader.stock(&query).await.unwrap();
        rows.into_iter().map(|row| row.sku).collect::<Vec<_>>()
    };
    assert_eq!(found(&[StockLevel::Low]).await, ["LOW"]);
    assert_eq!(found(&[StockLevel::Low, StockLevel::Out]).await, ["LOW", "OUT", "WAITING"]);
    assert_eq!(found(&[StockLevel::Enough]).await, ["ENOUGH", "UNTRACKED"]);
    assert_eq!(found(&[]).await.len(), 5);
    let waiting = reader.stock_by_skus(&["WAITING".to_owned()]).await.unwrap();
    assert_eq!((waiting[0].backordered, waiting[0].available), (4, 0));
}

#[tokio::test]
async fn movements_are_read_page_by_page_the_latest_first() {
    let world = World::open().await;
    let projector = world.projector();
    let adjust = StockCommand::Adjust {
        movement: MovementId(Uuid::from_u128(9)),
        location: location("east"),
        delta: 2,
        reason: AdjustReason::Found,
    };
    let commands = vec![receive(1, "east", 3), receive(2, "west", 4), reserve(7, 6), adjust];
    world.move_stock("MUG", commands).await;
    settled(&world, &projector).await;
    let reader = world.reader();
    let whole = movements(&reader, None, 100).await;
    let says = whole.iter().map(|row| {
        (row.revision, row.kind, row.location.as_deref().unwrap(), row.on_hand, row.reserved)
    });
    let wanted = [
        (3, MovementKind::Adjusted, "east", 2, 0),
        (2, MovementKind::Reserved, "west", 0, 3),
        (2, MovementKind::Reserved, "east", 0, 3),
        (1, MovementKind::Received, "west", 4, 0),
        (0, MovementKind::Received, "east", 3, 0),
    ];
    assert_eq!(says.collect::<Vec<_>>(), wanted);
    assert_eq!((whole[0].reason.as_deref(), whole[0].recorded_at), (Some("found"), at(3)));
    assert_eq!(whole[1].order_id, Some(Uuid::from_u128(7)));
    for limit in [1, 2, 3] {
        assert_eq!(movements(&reader, None, limit).await, whole);
        let east = movements(&reader, Some("east"), limit).await;
        let of_whole: Vec<_> =
            whole.iter().filter(|row| row.location.as_deref() == Some("east")).cloned().collect();
        assert_eq!(east, of_whole);
    }
}

#[tokio::test]
async fn movements_and_what_runs_short_are_read_from_an_index() {
    let world = World::open().await;
    let projector = world.projector();
    world.move_stock("MUG", vec![receive(1, "east", 3)]).await;
    settled(&world, &projector).await;
    let mut connection = world.connection().await;
    let explain = [
        "explain select * from read_model.stock_movements where sku = 'MUG' \
         and (revision, part) < (5, 0) order by revision desc, part desc limit 5",
        "explain select * from read_model.stock_movements where sku = 'MUG' and location = 'east' \
         and (revision, part) < (5, 0) order by revision desc, part desc limit 5",
        "explain select * from read_model.stock_levels where level <> 'enough' and level = 'low' \
         and sku > 'A' order by sku limit 5",
    ];
    sqlx::query("set enable_seqscan = off").execute(&mut connection).await.unwrap();
    sqlx::query("set enable_bitmapscan = off").execute(&mut connection).await.unwrap();
    for statement in explain {
        let plan: Vec<String> =
            sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("Index") && !plan.contains("Sort"), "{plan}");
    }
}

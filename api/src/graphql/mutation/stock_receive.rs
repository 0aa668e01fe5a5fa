//! `stockReceive`.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use domain::ids::{IdempotencyKey, LocationCode, ReceiptId, Sku};
use domain::quantity::Quantity;
use domain::stock::StockCommand;
use futures::{StreamExt, TryStreamExt, stream};
use journal::{Executed, Position};
use uuid::Uuid;

use super::stock_change::{execute, main_location, user_error_of};
use crate::graphql::error::internal;
use crate::graphql::input::{read_key, repeated};
use crate::graphql::model::Stock;
use crate::graphql::request::Caller;
use crate::graphql::user_error::{Problems, UserError, at};

/// Items of one receipt at most.
const MAX_ITEMS: usize = 2_000;
/// Items that are taken in at the same time.
const TOGETHER: usize = 64;

#[derive(Default)]
pub(crate) struct StockReceive;

/// Goods that came.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct StockReceiveInput {
    /// Chosen by the caller, one per receipt of goods, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
    /// Where it came to: a warehouse, a shop. Letters, digits and . _ -
    #[graphql(default_with = "main_location()")]
    location: String,
    /// What came: 1 to 2000 items, each SKU once.
    items: Vec<StockReceiveItem>,
}

/// Goods of one SKU that came.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct StockReceiveItem {
    /// Stock keeping unit: letters, digits and . _ - /
    sku: String,
    /// How many, from 1 to 10000000.
    quantity: i64,
}

/// What became of `stockReceive`.
#[derive(Default, SimpleObject)]
pub(crate) struct StockReceivePayload {
    /// The stock of what was taken in, in the order of the input.
    stocks: Vec<Stock>,
    /// Queries that take this as `atLeast` see it.
    position: Option<String>,
    /// Whether all of it had been taken in before, under the same key.
    replayed: bool,
    /// What is wrong with the input. Malformed inputs change nothing at all; an item whose key was
    /// used before for other goods is left as it was, and all others are taken in.
    user_errors: Vec<UserError>,
}

/// A receipt that makes sense.
struct Receipt {
    key: IdempotencyKey,
    location: LocationCode,
    items: Vec<Item>,
}

/// One item that makes sense.
struct Item {
    number: usize,
    sku: Sku,
    quantity: Quantity,
}

#[Object]
impl StockReceive {
    /// Takes goods into stock; makes new SKUs known. Orders that await them are supplied at once. Needs the scope `stock:write`.
    async fn stock_receive(
        &self,
        ctx: &Context<'_>,
        input: StockReceiveInput,
    ) -> Result<StockReceivePayload, Error> {
        let caller = Caller::of(ctx);
        let Receipt { key, location, items } = match read(&input, caller) {
            Ok(receipt) => receipt,
            Err(user_errors) => {
                return Ok(StockReceivePayload { user_errors, ..StockReceivePayload::default() });
            }
        };
        let receipt = caller.command_id(&["stockReceive", key.as_str()]);
        let receive = |item| receive(ctx, &key, &location, receipt, item);
        // In the order of the input, each as soon as there is room.
        let received = stream::iter(items).map(receive).buffered(TOGETHER).try_collect().await?;
        Ok(answer(received))
    }
}

type Received = Result<(Sku, Executed<domain::stock::Stock>), UserError>;

async fn receive(
    ctx: &Context<'_>,
    key: &IdempotencyKey,
    location: &LocationCode,
    receipt: Uuid,
    item: Item,
) -> Result<Received, Error> {
    let (caller, Item { number, sku, quantity }) = (Caller::of(ctx), item);
    let command_id = caller.command_id(&["stockReceive", sku.as_str(), key.as_str()]);
    let command = StockCommand::Receive {
        receipt: ReceiptId::derive(caller.actor(), &sku, key),
        location: location.clone(),
        quantity,
    };
    match execute(ctx, &sku, command, command_id, receipt).await? {
        Ok(executed) => Ok(Ok((sku, executed))),
        Err(broken) => {
            let error = user_error_of(&broken, &sku, at!["items", number, "quantity"]);
            error.map(Err).ok_or_else(|| internal(ctx, &broken))
        }
    }
}

fn answer(received: Vec<Received>) -> StockReceivePayload {
    let mut payload = StockReceivePayload { replayed: true, ..StockReceivePayload::default() };
    let mut position = Position::START;
    for item in received {
        match item {
            Ok((sku, executed)) => {
                position = position.max(executed.position);
                payload.replayed &= executed.replayed;
                payload.stocks.push(Stock::executed(&sku, &executed));
            }
            Err(error) => payload.user_errors.push(error),
        }
    }
    payload.replayed &= !payload.stocks.is_empty();
    payload.position = (!payload.stocks.is_empty()).then(|| position.to_string());
    payload
}

fn read(input: &StockReceiveInput, caller: &Caller) -> Result<Receipt, Vec<UserError>> {
    let mut problems = Problems::default();
    let key = read_key(input.idempotency_key.as_deref(), caller, &mut problems);
    let location = problems.check(LocationCode::new(&input.location), at!["location"]);
    let count = input.items.len();
    if !(1..=MAX_ITEMS).contains(&count) {
        let message = format!("{count} items were given, 1 to {MAX_ITEMS} are allowed; split them");
        problems.add(UserError::invalid(at!["items"], message));
        return Err(problems.into_errors());
    }
    for (before, number) in repeated(input.items.iter().map(|item| item.sku.as_str())) {
        let message = format!("this SKU stands on item {before} as well; add the quantities up");
        problems.add(UserError::invalid(at!["items", number, "sku"], message));
    }
    let items: Vec<Item> = input
        .items
        .iter()
        .enumerate()
        .filter_map(|(number, item)| {
            let sku = problems.check(Sku::new(&item.sku), at!["items", number, "sku"]);
            let quantity =
                problems.check(Quantity::new(item.quantity), at!["items", number, "quantity"]);
            Some(Item { number, sku: sku?, quantity: quantity? })
        })
        .collect();
    match (key, location, problems.into_errors()) {
        (Some(key), Some(location), errors) if errors.is_empty() => {
            Ok(Receipt { key, location, items })
        }
        (_, _, errors) => Err(errors),
    }
}

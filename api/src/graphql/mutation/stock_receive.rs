//! `stockReceive`.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use domain::ids::{IdempotencyKey, ReceiptId, Sku};
use domain::quantity::Quantity;
use domain::stock::{StockCommand, StockRejection};
use futures::{StreamExt, TryStreamExt, stream};
use journal::{Executed, Position};
use uuid::Uuid;

use crate::graphql::error::{internal, rejection};
use crate::graphql::input::{read_key, repeated};
use crate::graphql::model::Stock;
use crate::graphql::request::{Caller, Services};
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
    /// used before with another quantity is left as it was, and all others are taken in.
    user_errors: Vec<UserError>,
}

/// One item that makes sense.
struct Item {
    number: usize,
    sku: Sku,
    quantity: Quantity,
}

#[Object]
impl StockReceive {
    /// Takes goods into stock; makes new SKUs known. Needs the scope `stock:write`.
    async fn stock_receive(
        &self,
        ctx: &Context<'_>,
        input: StockReceiveInput,
    ) -> Result<StockReceivePayload, Error> {
        let (caller, services) = (Caller::of(ctx), Services::of(ctx));
        let (key, items) = match read(&input, caller) {
            Ok(wanted) => wanted,
            Err(user_errors) => {
                return Ok(StockReceivePayload { user_errors, ..StockReceivePayload::default() });
            }
        };
        let receipt = caller.command_id(&["stockReceive", key.as_str()]);
        let receive = |item| receive(ctx, caller, services, &key, receipt, item);
        // In the order of the input, each as soon as there is room.
        let received = stream::iter(items).map(receive).buffered(TOGETHER).try_collect().await?;
        Ok(answer(received))
    }
}

type Received = Result<(Sku, Executed<domain::stock::Stock>), UserError>;

async fn receive(
    ctx: &Context<'_>,
    caller: &Caller,
    services: &Services,
    key: &IdempotencyKey,
    receipt: Uuid,
    item: Item,
) -> Result<Received, Error> {
    let Item { number, sku, quantity } = item;
    let command_id = caller.command_id(&["stockReceive", sku.as_str(), key.as_str()]);
    let command =
        StockCommand::Receive { receipt: ReceiptId::derive(caller.actor(), &sku, key), quantity };
    match services.stocks.execute(&sku, command, caller.context(command_id, receipt)).await {
        Ok(executed) => {
            services.known_skus.remember(&sku);
            Ok(Ok((sku, executed)))
        }
        Err(cause) => {
            let broken = rejection(ctx, cause)?;
            user_error(number, &broken).map(Err).ok_or_else(|| internal(ctx, &broken))
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

fn read(
    input: &StockReceiveInput,
    caller: &Caller,
) -> Result<(IdempotencyKey, Vec<Item>), Vec<UserError>> {
    let mut problems = Problems::default();
    let key = read_key(input.idempotency_key.as_deref(), caller, &mut problems);
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
    match (key, problems.into_errors()) {
        (Some(key), errors) if errors.is_empty() => Ok((key, items)),
        (_, errors) => Err(errors),
    }
}

/// The rule that was broken, in the words of the input; `None` for one that receiving cannot break.
fn user_error(number: usize, broken: &StockRejection) -> Option<UserError> {
    match broken {
        StockRejection::ReceiptConflict { .. } => {
            Some(UserError::conflict(at!["items", number, "quantity"], broken))
        }
        StockRejection::UnknownSku
        | StockRejection::InsufficientStock { .. }
        | StockRejection::ReservationConflict { .. }
        | StockRejection::ReservationReleased
        | StockRejection::NothingReserved => None,
    }
}

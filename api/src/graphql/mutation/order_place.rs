//! `orderPlace`.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::ids::{
    Channel, CountryCode, CustomerRef, IdempotencyKey, OrderId, PartnerReference, PaymentToken, Sku,
};
use domain::money::Currency;
use domain::order::{Handling, LineKind, OrderCommand, OrderDetails, OrderRejection};
use domain::stock::Stock;
use futures::{StreamExt, TryStreamExt, stream};
use schemas::stream_of;

use crate::auth::Scope;
use crate::graphql::error::{internal, rejection, store_error};
use crate::graphql::input::{LineInput, MoneyInput, read_key, read_lines};
use crate::graphql::model::Order;
use crate::graphql::request::{Caller, Services};
use crate::graphql::scalars;
use crate::graphql::user_error::{Problems, UserError, at};

/// SKUs that are asked for at the same time when nothing is known about them.
const ASKED_TOGETHER: usize = 16;
/// A clock elsewhere may be ahead of ours by so much.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

#[derive(Default)]
pub(crate) struct OrderPlace;

/// An order to be placed.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct OrderPlaceInput {
    /// Chosen by the caller, one per order, repeated on a retry. The HTTP header Idempotency-Key
    /// when left out.
    idempotency_key: Option<String>,
    /// Where the order comes from: a shop, a marketplace, a till.
    #[graphql(default_with = "\"web\".to_owned()")]
    channel: String,
    /// The customer's id in the system that knows the person; never a name or an e-mail address.
    customer: Option<String>,
    /// Where it goes.
    country: scalars::CountryCode,
    /// The one currency of the order.
    currency_code: scalars::CurrencyCode,
    /// What is bought, at most 2000 lines. One SKU may stand on several lines.
    lines: Vec<LineInput>,
    /// What the customer agreed to pay: must be the sum over the lines.
    total: MoneyInput,
    /// What the payment gateway knows the means of payment by. Needed unless `imported` is given.
    payment_token: Option<String>,
    /// Given for an order that another system has handled: stock is taken and money accounted for,
    /// but nobody is charged and no carrier is called. Needs the scope `import`.
    imported: Option<ImportedInput>,
}

/// Where an order comes from that another system has handled.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ImportedInput {
    /// When the customer placed it.
    placed_at: DateTime<Utc>,
    /// How the other system knows it.
    reference: String,
}

/// What became of `orderPlace`.
#[derive(Default, SimpleObject)]
pub(crate) struct OrderPlacePayload {
    /// The order as it is now; none when there are user errors.
    order: Option<Order>,
    /// Queries that take this as `atLeast` see the order.
    position: Option<String>,
    /// Whether this very order was placed before, under the same key.
    replayed: bool,
    /// What is wrong with the input; the order was not placed.
    user_errors: Vec<UserError>,
}

impl OrderPlacePayload {
    fn refused(user_errors: Vec<UserError>) -> Self {
        Self { user_errors, ..Self::default() }
    }
}

/// An input that makes sense.
struct Wanted {
    key: IdempotencyKey,
    details: OrderDetails,
    placed_at: DateTime<Utc>,
}

#[Object]
impl OrderPlace {
    /// Places an order. An answer without user errors means that it is kept, whatever happens next.
    /// Needs the scope `orders:write`, and `import` on top when `imported` is given.
    async fn order_place(
        &self,
        ctx: &Context<'_>,
        input: OrderPlaceInput,
    ) -> Result<OrderPlacePayload, Error> {
        let (caller, services) = (Caller::of(ctx), Services::of(ctx));
        if input.imported.is_some() {
            caller.require(Scope::Import)?;
        }
        let wanted = match read(&input, caller, services.now()) {
            Ok(wanted) => wanted,
            Err(errors) => return Ok(OrderPlacePayload::refused(errors)),
        };
        let unknown = unknown_skus(ctx, services, &wanted.details).await?;
        if !unknown.is_empty() {
            return Ok(OrderPlacePayload::refused(unknown));
        }
        place(ctx, caller, services, wanted).await
    }
}

async fn place(
    ctx: &Context<'_>,
    caller: &Caller,
    services: &Services,
    wanted: Wanted,
) -> Result<OrderPlacePayload, Error> {
    let Wanted { key, details, placed_at } = wanted;
    let id = OrderId::derive(caller.actor(), &details.channel, &key);
    let command_id = caller.command_id(&["orderPlace", &id.to_string(), key.as_str()]);
    let command = OrderCommand::Place { details: Arc::new(details), placed_at };
    let context = caller.context(command_id, id.0);
    match services.orders.execute(&id, command, context).await {
        Ok(executed) => Ok(OrderPlacePayload {
            order: Order::executed(id, &executed),
            position: Some(executed.position.to_string()),
            replayed: executed.replayed,
            user_errors: vec![],
        }),
        Err(cause) => {
            let broken = rejection(ctx, cause)?;
            user_error(&broken)
                .map(|error| OrderPlacePayload::refused(vec![error]))
                .ok_or_else(|| internal(ctx, &broken))
        }
    }
}

fn read(
    input: &OrderPlaceInput,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<Wanted, Vec<UserError>> {
    let mut problems = Problems::default();
    let p = &mut problems;
    let key = read_key(input.idempotency_key.as_deref(), caller, p);
    let channel = p.check(Channel::new(&input.channel), at!["channel"]);
    let customer = input.customer.as_ref().map(|id| p.check(CustomerRef::new(id), at!["customer"]));
    let country = p.check(read_country(&input.country.0), at!["country"]);
    let handling = read_handling(input, p);
    let placed_at = read_placed_at(input, now, p);
    let currency = p.check(input.currency_code.0.parse::<Currency>(), at!["currencyCode"]);
    // Amounts mean nothing without their currency.
    let money = currency.map(|currency| {
        let lines = read_lines(&input.lines, currency, p);
        (currency, lines, input.total.read(currency, at!["total"], p))
    });
    let read = || {
        let (currency, lines, total) = money?;
        let details = OrderDetails {
            channel: channel?,
            customer: customer.flatten(),
            country: country?,
            lines,
            currency,
            total: total?,
            handling: handling?,
        };
        Some(Wanted { key: key?, details, placed_at: placed_at? })
    };
    match (read(), problems.into_errors()) {
        (Some(wanted), errors) if errors.is_empty() => Ok(wanted),
        (_, errors) => Err(errors),
    }
}

/// One capital letter is a code that the domain takes, but no country.
fn read_country(text: &str) -> Result<CountryCode, String> {
    let code = CountryCode::new(text).map_err(|error| error.to_string())?;
    if text.len() == 2 {
        return Ok(code);
    }
    Err("a country code has two capital letters, such as GB".to_owned())
}

fn read_handling(input: &OrderPlaceInput, problems: &mut Problems) -> Option<Handling> {
    let token = at!["paymentToken"];
    match (&input.payment_token, &input.imported) {
        (Some(payment_token), None) => {
            let payment_token = problems.check(PaymentToken::new(payment_token), token)?;
            Some(Handling::Partners { payment_token })
        }
        (None, Some(imported)) => {
            let field = at!["imported", "reference"];
            let reference = PartnerReference::new(&imported.reference);
            Some(Handling::Elsewhere { reference: problems.check(reference, field)? })
        }
        (None, None) => {
            let message = "a payment token is needed, unless `imported` says that another system \
                           was paid";
            problems.add(UserError::invalid(token, message));
            None
        }
        (Some(_), Some(_)) => {
            let message = "an imported order has been paid elsewhere; leave the payment token out";
            problems.add(UserError::invalid(token, message));
            None
        }
    }
}

fn read_placed_at(
    input: &OrderPlaceInput,
    now: DateTime<Utc>,
    problems: &mut Problems,
) -> Option<DateTime<Utc>> {
    let Some(imported) = &input.imported else { return Some(now) };
    let field = at!["imported", "placedAt"];
    if imported.placed_at > now + AHEAD {
        problems.add(UserError::invalid(field, "an imported order was placed in the past"));
        return None;
    }
    // What is kept everywhere is microseconds.
    problems.check(imported.placed_at.duration_trunc(TimeDelta::microseconds(1)), field)
}

/// Goods that were never received are refused at once: the order would only be rejected later.
async fn unknown_skus(
    ctx: &Context<'_>,
    services: &Services,
    details: &OrderDetails,
) -> Result<Vec<UserError>, Error> {
    let goods =
        || details.lines.iter().enumerate().filter(|(_, line)| line.kind == LineKind::Goods);
    let doubtful = services.known_skus.unknown_of(goods().map(|(_, line)| &line.sku));
    let unknown: Vec<Sku> = stream::iter(doubtful)
        .map(|sku| async move {
            // A SKU's stream begins with its first receipt, so any event proves one; a hot SKU's
            // stream is too long to be read for that.
            let events = services.journal.read_last(&stream_of::<Stock>(&sku), 1).await?;
            if !events.is_empty() {
                services.known_skus.remember(&sku);
                return Ok(None);
            }
            Ok(Some(sku))
        })
        .buffer_unordered(ASKED_TOGETHER)
        .try_filter_map(|sku| async move { Ok(sku) })
        .try_collect()
        .await
        .map_err(|cause| store_error(ctx, &cause))?;
    Ok(goods()
        .filter(|(_, line)| unknown.contains(&line.sku))
        .map(|(n, line)| UserError::unknown_sku(at!["lines", n, "sku"], line.sku.as_str()))
        .collect())
}

/// The rule that was broken, in the words of the input; `None` for one that placing cannot break.
fn user_error(broken: &OrderRejection) -> Option<UserError> {
    Some(match broken {
        OrderRejection::IdempotencyConflict => UserError::conflict(at!["idempotencyKey"], broken),
        OrderRejection::NoLines
        | OrderRejection::TooManyLines { .. }
        | OrderRejection::TooManyUnits { .. } => UserError::invalid(at!["lines"], broken),
        OrderRejection::TitleTooLong { line, .. } => {
            UserError::invalid(at!["lines", line, "title"], broken)
        }
        OrderRejection::NegativePrice { line } => {
            UserError::invalid(at!["lines", line, "unitPrice", "amount"], broken)
        }
        OrderRejection::Arithmetic { line, source } => {
            UserError::invalid(at!["lines", line, "unitPrice", "amount"], source)
        }
        OrderRejection::TotalCurrency => UserError::invalid(at!["total", "currencyCode"], broken),
        OrderRejection::TotalMismatch { declared, computed } => {
            UserError::mismatch(at!["total", "amount"], broken, *declared, *computed)
        }
        OrderRejection::NotFound | OrderRejection::InvalidTransition { .. } => return None,
    })
}

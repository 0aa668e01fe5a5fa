//! `orderPlace`.
//!
//! One append, and besides: a hundredth of one for the order's number; one for an external reference
//! that nobody had before; one for the key of a person of whom nothing was ever sealed. And one read
//! for an order with personal data, see `replay`.

mod reading;
mod refusal;
mod replay;

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject, Object, OneofObject};
use chrono::{DateTime, Utc};
use domain::Decider as _;
use domain::ids::{OrderId, Sku};
use domain::order::{LineKind, Order, OrderCommand, OrderDetails, OrderState, Policies};
use domain::reference::ReferenceRejection;
use domain::stock::Stock;
use futures::{StreamExt, TryStreamExt, stream};
use journal::ExecuteError;
use schemas::stream_of;

use self::reading::Wanted;
use super::change::{Outcome, order_payload};
use crate::auth::Scope;
use crate::graphql::error::{internal, rejection, store_error};
use crate::graphql::input::{DiscountInput, LineInput, MoneyInput};
use crate::graphql::model::{self, Acceptance, CapturePolicy, DispatchPolicy};
use crate::graphql::persons::{ContactInput, PostalAddressInput, Sealer};
use crate::graphql::request::{Caller, Services};
use crate::graphql::scalars;
use crate::graphql::user_error::{UserError, at};

/// SKUs that are asked for at the same time when nothing is known about them.
const ASKED_TOGETHER: usize = 16;
/// Type of the event that everything is sealed for.
const EVENT_TYPE: &str = "order-placed";

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
    /// How the shop, the marketplace or the till knows it: 1 to 128 printable characters, unique
    /// within the channel.
    external_reference: Option<String>,
    /// The customer's id in the system that knows the person; never a name or an e-mail address.
    customer: Option<String>,
    /// How to reach who orders. Kept sealed.
    contact: Option<ContactInput>,
    /// Where the goods go. Kept sealed.
    shipping_address: Option<PostalAddressInput>,
    /// Where the invoice goes, if elsewhere. Kept sealed.
    billing_address: Option<PostalAddressInput>,
    /// Where it goes; the country of the shipping address when left out.
    country: Option<scalars::CountryCode>,
    /// The one currency of the order.
    currency_code: scalars::CurrencyCode,
    /// What is bought, at most 2000 lines. One SKU may stand on several lines.
    lines: Vec<LineInput>,
    /// What is taken off the order as a whole, at most 20. Spread over the lines once and for all.
    #[graphql(default)]
    discounts: Vec<DiscountInput>,
    /// Whether the unit prices include the taxes; if not, taxes come on top.
    #[graphql(default)]
    prices_include_tax: bool,
    /// What the customer agreed to pay: must be the sum over the lines, after everything.
    total: MoneyInput,
    /// What the payment gateway knows the means of payment by. The same as `payment: { token: … }`.
    payment_token: Option<String>,
    /// How it is paid. Needed unless there is a `paymentToken`, the order is `imported`, or there is
    /// nothing to pay.
    payment: Option<OrderPaymentInput>,
    /// How it is handled where shops differ.
    #[graphql(default)]
    policies: OrderPoliciesInput,
    /// Goods are taken from here first.
    prefer_location: Option<String>,
    /// How likely it is fraud, as the caller sees it: 0 (not at all) to 100.
    risk_score: Option<i32>,
    /// Words to sort it by, at most 50.
    #[graphql(default)]
    tags: Vec<String>,
    /// What the customer wants to say, at most 2000 characters. Kept sealed.
    note: Option<String>,
    /// What the caller wants back unchanged: at most 50 entries. Never personal data.
    #[graphql(default)]
    metadata: Vec<MetadataInput>,
    /// Given for an order that another system has handled: stock is taken and money accounted for,
    /// but nobody is charged and no carrier is called. Needs the scope `import`.
    imported: Option<ImportedInput>,
}

/// How an order is paid.
#[derive(Debug, Clone, OneofObject)]
pub(crate) enum OrderPaymentInput {
    /// What the payment gateway knows the means of payment by.
    Token(String),
    /// `true`: in another way, such as by bank transfer; somebody says so with `orderMarkPaid`.
    Manual(bool),
}

/// How an order is handled where shops differ.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct OrderPoliciesInput {
    /// What happens when not everything is in stock.
    #[graphql(default_with = "Acceptance::AllOrNothing")]
    acceptance: Acceptance,
    /// When the money is moved.
    #[graphql(default_with = "CapturePolicy::OnShip")]
    capture: CapturePolicy,
    /// Who says when goods leave.
    #[graphql(default_with = "DispatchPolicy::Automatic")]
    dispatch: DispatchPolicy,
}

impl Default for OrderPoliciesInput {
    fn default() -> Self {
        let Policies { acceptance, capture, dispatch } = Policies::default();
        Self { acceptance: acceptance.into(), capture: capture.into(), dispatch: dispatch.into() }
    }
}

/// What a caller attaches to an order.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct MetadataInput {
    /// Under which name: 1 to 64 characters.
    key: String,
    /// What: at most 500 characters.
    value: String,
}

/// Where an order comes from that another system has handled.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ImportedInput {
    /// When the customer placed it.
    placed_at: DateTime<Utc>,
    /// How the other system knows it.
    reference: String,
}

order_payload! {
    /// What became of `orderPlace`.
    OrderPlacePayload
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
        let wanted = match reading::read(&input, caller, services.now()) {
            Ok(wanted) => wanted,
            Err(errors) => return Ok(Outcome::refused(errors).into()),
        };
        let unknown = unknown_skus(ctx, services, &wanted.details).await?;
        if !unknown.is_empty() {
            return Ok(Outcome::refused(unknown).into());
        }
        place(ctx, caller, services, wanted).await.map(Into::into)
    }
}

async fn place(
    ctx: &Context<'_>,
    caller: &Caller,
    services: &Services,
    wanted: Wanted,
) -> Result<Outcome, Error> {
    let id = OrderId::derive(caller.actor(), &wanted.details.channel, &wanted.key);
    if let Some(outcome) = replay::answer(ctx, services, id, &wanted).await? {
        return Ok(outcome);
    }
    let key = wanted.key.clone();
    let (holds, placed_at) = (services.auto_hold.holds_on(&wanted.details), wanted.placed_at);
    let details = Arc::new(seal(ctx, id, wanted).await?);
    let place = |number| OrderCommand::Place {
        details: details.clone(),
        number,
        holds: holds.clone(),
        placed_at,
    };
    // What would be refused anyway must not take a reference or a number.
    if let Err(broken) = Order::decide(&OrderState::NotPlaced, &place(None)) {
        return refusal::explain(ctx, &broken);
    }
    if let Some(taken) = claim(ctx, services, &details, id).await? {
        return Ok(Outcome::refused(vec![taken]));
    }
    let number = match services.numbers.next().await {
        Ok(number) => number,
        Err(cause) => return Err(internal(ctx, &rejection(ctx, cause)?)),
    };
    let command_id = caller.command_id(&["orderPlace", &id.to_string(), key.as_str()]);
    let context = caller.context(command_id, id.0);
    match services.orders.execute(&id, place(Some(number)), context).await {
        Ok(executed) => Ok(Outcome {
            order: model::Order::executed(id, &executed),
            position: Some(executed.position.to_string()),
            replayed: executed.replayed,
            user_errors: vec![],
            events: executed.events,
        }),
        Err(cause) => refusal::explain(ctx, &rejection(ctx, cause)?),
    }
}

/// The details with everything personal in them, sealed.
async fn seal(ctx: &Context<'_>, id: OrderId, wanted: Wanted) -> Result<OrderDetails, Error> {
    let Wanted { mut details, personal, .. } = wanted;
    let sealer = Sealer::new(ctx, id, details.customer.as_ref());
    let (contact, note) = (personal.contact.as_ref(), personal.note.as_ref());
    details.contact = sealer.seal_some(EVENT_TYPE, "contact", contact).await?;
    let address = personal.shipping_address.as_ref();
    details.shipping_address = sealer.seal_some(EVENT_TYPE, "shipping-address", address).await?;
    let address = personal.billing_address.as_ref();
    details.billing_address = sealer.seal_some(EVENT_TYPE, "billing-address", address).await?;
    details.note = sealer.seal_some(EVENT_TYPE, "note", note).await?;
    Ok(details)
}

/// Claims the external reference, if there is one; says so when another order has it.
async fn claim(
    ctx: &Context<'_>,
    services: &Services,
    details: &OrderDetails,
    id: OrderId,
) -> Result<Option<UserError>, Error> {
    let Some(reference) = &details.external_reference else { return Ok(None) };
    match services.references.claim(&details.channel, reference, id).await {
        Ok(()) => Ok(None),
        Err(ExecuteError::Rejected(ReferenceRejection::TakenBy { order, .. })) => {
            Ok(Some(UserError::reference_taken(at!["externalReference"], order.0)))
        }
        Err(cause) => Err(internal(ctx, &rejection(ctx, cause)?)),
    }
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
            // Any event of a SKU's stream proves that it exists; a hot SKU's stream is too long to be
            // read for that.
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

//! `order` and `orderByNumberAndEmail`: one order, as it is or as it was.

use async_graphql::{Context, Error, InputObject, Object, OneofObject};
use chrono::{DateTime, Utc};
use domain::ids::{ExternalReference, OrderId, OrderNumber};
use domain::personal::{Contact, Sealed};
use futures::FutureExt;
use keyring::{Opened, Place};
use projector::read_model::{OrderFilter, OrderQuery};
use schemas::stream_of;
use uuid::Uuid;

use super::past;
use crate::graphql::error::{Code, error, keyring_error, read_error};
use crate::graphql::freshness;
use crate::graphql::model::Order;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct OneOrder;

/// How a channel knows an order.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ExternalReferenceInput {
    /// The channel.
    #[graphql(default_with = "\"web\".to_owned()")]
    channel: String,
    /// How it knows the order.
    reference: String,
}

/// A moment in the past of an order.
#[derive(Debug, Clone, Copy, OneofObject)]
pub(crate) enum AsOfInput {
    /// After the event of this number, from 0.
    Revision(i32),
    /// At this time, by when events were recorded.
    Time(DateTime<Utc>),
}

#[Object]
impl OneOrder {
    /// One order, by one of `id`, `number` and `externalReference`; none when there is none, or none
    /// that the read model knows of yet. With `asOf` it is folded from its own events instead, which
    /// needs no read model when it is named by `id`; payments' records and processes are those of
    /// now. Needs the scope `orders:read`.
    async fn order(
        &self,
        ctx: &Context<'_>,
        id: Option<Uuid>,
        #[graphql(desc = "What people call it.")] number: Option<String>,
        #[graphql(desc = "How its channel knows it.")] external_reference: Option<
            ExternalReferenceInput,
        >,
        #[graphql(desc = "As it was then; as it is, when left out.")] as_of: Option<AsOfInput>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Option<Order>, Error> {
        let named = match (id, number, external_reference) {
            (Some(id), None, None) => Named::Id(id),
            (None, Some(number), None) => Named::Number(number),
            (None, None, Some(reference)) => Named::Reference(reference),
            _ => {
                let message = "name the order by one of `id`, `number` and `externalReference`";
                return Err(error(Code::BadRequest, message));
            }
        };
        if let (Named::Id(id), Some(as_of)) = (&named, as_of) {
            return past::order(ctx, OrderId(*id), as_of).await;
        }
        let projections = freshness::of_orders(&[ctx.look_ahead()]);
        freshness::wait(ctx, at_least.as_deref(), &projections).await?;
        let Some(order) = find(ctx, named).await? else { return Ok(None) };
        match as_of {
            None => Ok(Some(order)),
            Some(as_of) => past::order(ctx, order.order_id(), as_of).await,
        }
    }

    /// The order of that number, if it was placed with that e-mail address, whatever the case of its
    /// letters; none otherwise: for guests who look up their order. Needs the scope `orders:read`.
    async fn order_by_number_and_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What people call it.")] number: String,
        #[graphql(desc = "The e-mail address of its contact.")] email: String,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Option<Order>, Error> {
        let projections = freshness::of_orders(&[ctx.look_ahead()]);
        freshness::wait(ctx, at_least.as_deref(), &projections).await?;
        let Some(order) = find(ctx, Named::Number(number)).await? else { return Ok(None) };
        let known = match &order.placed().contact {
            None => None,
            Some(sealed) => email_in(ctx, order.order_id(), sealed).await?,
        };
        Ok(known.filter(|known| is_same(known, &email)).map(|_| order))
    }
}

enum Named {
    Id(Uuid),
    Number(String),
    Reference(ExternalReferenceInput),
}

async fn find(ctx: &Context<'_>, named: Named) -> Result<Option<Order>, Error> {
    let reader = &Services::of(ctx).reader;
    let filter = match named {
        Named::Id(id) => {
            let document = reader.order_document(id).await;
            return Ok(document.map_err(|cause| read_error(ctx, &cause))?.map(Into::into));
        }
        // What is no number and no reference is nobody's.
        Named::Number(number) => match OrderNumber::new(number) {
            Ok(number) => OrderFilter { number: Some(number.into()), ..OrderFilter::default() },
            Err(_) => return Ok(None),
        },
        Named::Reference(ExternalReferenceInput { channel, reference }) => {
            let channel = domain::ids::Channel::new(channel);
            match (channel, ExternalReference::new(reference)) {
                (Ok(channel), Ok(reference)) => OrderFilter {
                    channel: Some(channel.into()),
                    external_reference: Some(reference.into()),
                    ..OrderFilter::default()
                },
                (Err(_), _) | (_, Err(_)) => return Ok(None),
            }
        }
    };
    let query = OrderQuery { filter, descending: false, limit: 1, ..OrderQuery::default() };
    let found = reader.order_documents(&query).await;
    Ok(found.map_err(|cause| read_error(ctx, &cause))?.pop().map(Into::into))
}

/// The e-mail address of a contact, whoever asks: the caller only learns whether it is the one they
/// know. None when the person was erased.
async fn email_in(
    ctx: &Context<'_>,
    order: OrderId,
    sealed: &Sealed,
) -> Result<Option<String>, Error> {
    let stream = stream_of::<domain::order::Order>(&order);
    let place = Place::of(sealed, &stream, "contact");
    match Services::of(ctx).keyring.open::<Contact>(&place, sealed).boxed().await {
        Ok(Opened::Clear(contact)) => Ok(contact.email),
        Ok(Opened::Erased) => Ok(None),
        Err(cause) => Err(keyring_error(ctx, &cause)),
    }
}

/// Compares whole addresses, so that the time it takes does not tell how much of one is right.
fn is_same(known: &str, given: &str) -> bool {
    let (known, given) = (known.to_lowercase(), given.trim().to_lowercase());
    let (known, given) = (known.as_bytes(), given.as_bytes());
    let differences = known.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0 && known.len() == given.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_whatever_the_case_of_their_letters() {
        assert!(is_same("Anna@Example.org", " anna@example.ORG "));
        for other in ["", "anna@example.or", "anna@example.org.uk", "hanna@example.org"] {
            assert!(!is_same("anna@example.org", other), "{other}");
        }
    }
}

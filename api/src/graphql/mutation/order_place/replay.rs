//! An order with personal data that is placed again: compared in clear, before anything is sealed.
//!
//! Sealed anew, the data of a person who was erased meanwhile would never be the same again, and the
//! person would get a new key for an order that is there already. So whether it is there is read first.

use async_graphql::{Context, Error};
use domain::ids::OrderId;
use domain::order::OrderRejection;
use domain::personal::Sealed;
use futures::FutureExt;
use keyring::{Opened, Place};
use schemas::stream_of;
use serde::de::DeserializeOwned;

use super::reading::{Personal, Wanted};
use super::{Outcome, refusal};
use crate::graphql::error::{keyring_error, store_error};
use crate::graphql::model::Order;
use crate::graphql::request::Services;

/// What is answered when the order `id` is there already; `None` when it is to be placed, or when
/// `wanted` has no personal data and appending will tell.
pub(super) async fn answer(
    ctx: &Context<'_>,
    services: &Services,
    id: OrderId,
    wanted: &Wanted,
) -> Result<Option<Outcome>, Error> {
    let Personal { contact, shipping_address, billing_address, note } = &wanted.personal;
    let nothing = contact.is_none()
        && shipping_address.is_none()
        && billing_address.is_none()
        && note.is_none();
    if nothing {
        return Ok(None);
    }
    let loaded = services.orders.load(&id).await.map_err(|cause| store_error(ctx, &cause))?;
    let Some(loaded) = loaded else { return Ok(None) };
    let Some(placed) = loaded.state.placed() else { return Ok(None) };
    let known = &placed.details;
    let mut details = wanted.details.clone();
    details.contact.clone_from(&known.contact);
    details.shipping_address.clone_from(&known.shipping_address);
    details.billing_address.clone_from(&known.billing_address);
    details.note.clone_from(&known.note);
    let person = Known { ctx, services, id };
    let same = details == **known
        && person.is("contact", known.contact.as_ref(), contact.as_ref()).await?
        && person
            .is("shipping-address", known.shipping_address.as_ref(), shipping_address.as_ref())
            .await?
        && person
            .is("billing-address", known.billing_address.as_ref(), billing_address.as_ref())
            .await?
        && person.is("note", known.note.as_ref(), note.as_ref()).await?;
    if !same {
        return refusal::explain(ctx, &OrderRejection::IdempotencyConflict).map(Some);
    }
    Ok(Some(Outcome {
        order: Some(Order::at(id, placed.clone(), loaded.revision, None)),
        position: Some(loaded.position.to_string()),
        replayed: true,
        user_errors: vec![],
        events: vec![],
    }))
}

/// What is known of the person who ordered.
struct Known<'a> {
    ctx: &'a Context<'a>,
    services: &'a Services,
    id: OrderId,
}

impl Known<'_> {
    /// Whether `clear` may be what was sealed for `field`: nobody knows any more once the person was
    /// erased.
    async fn is<T: DeserializeOwned + PartialEq + Send + Sync>(
        &self,
        field: &str,
        sealed: Option<&Sealed>,
        clear: Option<&T>,
    ) -> Result<bool, Error> {
        let (Some(sealed), Some(clear)) = (sealed, clear) else {
            return Ok(sealed.is_none() && clear.is_none());
        };
        let stream = stream_of::<domain::order::Order>(&self.id);
        let place = Place::of(sealed, &stream, field);
        // Boxed, or the compiler loses its way in what is below.
        match self.services.keyring.open::<T>(&place, sealed).boxed().await {
            Ok(Opened::Clear(known)) => Ok(known == *clear),
            Ok(Opened::Erased) => Ok(true),
            Err(cause) => Err(keyring_error(self.ctx, &cause)),
        }
    }
}

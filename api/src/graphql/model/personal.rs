//! What is known about a person, as the schema shows it: opened for who may see it, and empty once
//! the person has been erased.

use async_graphql::{Context, Error, SimpleObject};
use domain::ids::OrderId;
use domain::personal::{self as domain_personal, Sealed};
use futures::FutureExt;
use keyring::{Opened, Place};
use schemas::stream_of;
use serde::de::DeserializeOwned;

use crate::auth::Scope;
use crate::graphql::error::keyring_error;
use crate::graphql::request::{Caller, Services};
use crate::graphql::scalars::CountryCode;

/// How to reach who ordered.
#[derive(Debug, Clone, Default, SimpleObject)]
pub(crate) struct Contact {
    /// Full name.
    name: Option<String>,
    /// E-mail address.
    email: Option<String>,
    /// Telephone number.
    phone: Option<String>,
    /// BCP 47 language tag.
    locale: Option<String>,
    /// Whether the person was erased: then nobody knows any of it any more.
    erased: bool,
}

/// Where to send something.
#[derive(Debug, Clone, Default, SimpleObject)]
pub(crate) struct PostalAddress {
    /// Who receives it there.
    name: Option<String>,
    /// Organisation.
    company: Option<String>,
    /// Street, house number and so on, in the order they are printed.
    lines: Vec<String>,
    /// Town.
    city: Option<String>,
    /// Postal code.
    postal_code: Option<String>,
    /// State, province or county.
    region: Option<String>,
    /// Country.
    country: Option<CountryCode>,
    /// Whether the person was erased: then nobody knows any of it any more.
    erased: bool,
}

/// Something in somebody's own words.
#[derive(Debug, Clone, Default, SimpleObject)]
pub(crate) struct Note {
    /// The words.
    text: Option<String>,
    /// Whether the person was erased: then nobody knows the words any more.
    erased: bool,
}

/// What became of sealed data for one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revealed<T> {
    /// The caller may see it.
    Clear(T),
    /// Nobody can any more.
    Erased,
    /// The caller may not.
    Hidden,
}

/// Opens what was sealed for `field` of an event of `order`, if the caller may see it.
pub(crate) async fn reveal<T: DeserializeOwned>(
    ctx: &Context<'_>,
    order: OrderId,
    sealed: &Sealed,
    field: &str,
) -> Result<Revealed<T>, Error> {
    if Caller::of(ctx).require(Scope::PersonalDataRead).is_err() {
        return Ok(Revealed::Hidden);
    }
    let stream = stream_of::<domain::order::Order>(&order);
    let place = Place::of(sealed, &stream, field);
    // Boxed, or the compiler loses its way in what is below.
    match Services::of(ctx).keyring.open(&place, sealed).boxed().await {
        Ok(Opened::Clear(clear)) => Ok(Revealed::Clear(clear)),
        Ok(Opened::Erased) => Ok(Revealed::Erased),
        Err(cause) => Err(keyring_error(ctx, &cause)),
    }
}

pub(super) async fn contact(
    ctx: &Context<'_>,
    order: OrderId,
    sealed: Option<&Sealed>,
) -> Result<Option<Contact>, Error> {
    let Some(sealed) = sealed else { return Ok(None) };
    Ok(match reveal::<domain_personal::Contact>(ctx, order, sealed, "contact").await? {
        Revealed::Hidden => None,
        Revealed::Erased => Some(Contact { erased: true, ..Contact::default() }),
        Revealed::Clear(clear) => {
            let domain_personal::Contact { name, email, phone, locale } = clear;
            Some(Contact { name, email, phone, locale, erased: false })
        }
    })
}

/// `field` is `shipping-address` or `billing-address`.
pub(super) async fn address(
    ctx: &Context<'_>,
    order: OrderId,
    sealed: Option<&Sealed>,
    field: &str,
) -> Result<Option<PostalAddress>, Error> {
    let Some(sealed) = sealed else { return Ok(None) };
    Ok(match reveal::<domain_personal::PostalAddress>(ctx, order, sealed, field).await? {
        Revealed::Hidden => None,
        Revealed::Erased => Some(PostalAddress { erased: true, ..PostalAddress::default() }),
        Revealed::Clear(clear) => Some(PostalAddress {
            name: Some(clear.name),
            company: clear.company,
            lines: clear.lines,
            city: Some(clear.city),
            postal_code: clear.postal_code,
            region: clear.region,
            country: Some(CountryCode(clear.country.to_string())),
            erased: false,
        }),
    })
}

pub(super) async fn note(
    ctx: &Context<'_>,
    order: OrderId,
    sealed: Option<&Sealed>,
) -> Result<Option<Note>, Error> {
    let Some(sealed) = sealed else { return Ok(None) };
    Ok(match reveal::<String>(ctx, order, sealed, "note").await? {
        Revealed::Hidden => None,
        Revealed::Erased => Some(Note { text: None, erased: true }),
        Revealed::Clear(text) => Some(Note { text: Some(text), erased: false }),
    })
}

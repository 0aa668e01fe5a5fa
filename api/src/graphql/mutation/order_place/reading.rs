//! Reads the input of `orderPlace`: everything that is wrong with it is said at once.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::ids::{
    Channel, CountryCode, CustomerRef, ExternalReference, IdempotencyKey, LocationCode,
    PartnerReference, PaymentToken,
};
use domain::money::{Currency, Money};
use domain::order::{Handling, OrderDetails, Policies};
use domain::personal::{Contact, PostalAddress};

use super::{MetadataInput, OrderPaymentInput, OrderPlaceInput};
use crate::graphql::input::{
    read_discounts, read_key, read_order_lines, read_tags, read_text, repeated,
};
use crate::graphql::persons::{read_country, read_note};
use crate::graphql::request::Caller;
use crate::graphql::user_error::{Problems, UserError, at};

/// A clock elsewhere may be ahead of ours by so much.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// Entries that a caller may attach.
const MAX_METADATA: usize = 50;
/// Characters of the name of one.
const MAX_METADATA_KEY: usize = 64;
/// Characters of one.
const MAX_METADATA_VALUE: usize = 500;

/// An input that makes sense.
pub(super) struct Wanted {
    pub(super) key: IdempotencyKey,
    /// Everything but what is personal.
    pub(super) details: OrderDetails,
    pub(super) personal: Personal,
    pub(super) placed_at: DateTime<Utc>,
}

/// What is personal, in clear.
pub(super) struct Personal {
    pub(super) contact: Option<Contact>,
    pub(super) shipping_address: Option<PostalAddress>,
    pub(super) billing_address: Option<PostalAddress>,
    pub(super) note: Option<String>,
}

pub(super) fn read(
    input: &OrderPlaceInput,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<Wanted, Vec<UserError>> {
    let mut problems = Problems::default();
    let wanted = read_all(input, caller, now, &mut problems);
    match (wanted, problems.into_errors()) {
        (Some(wanted), errors) if errors.is_empty() => Ok(wanted),
        (_, errors) => Err(errors),
    }
}

fn read_all(
    input: &OrderPlaceInput,
    caller: &Caller,
    now: DateTime<Utc>,
    p: &mut Problems,
) -> Option<Wanted> {
    let key = read_key(input.idempotency_key.as_deref(), caller, p);
    let channel = p.check(Channel::new(&input.channel), at!["channel"]);
    let reference = input.external_reference.as_ref();
    let external_reference =
        reference.and_then(|it| p.check(ExternalReference::new(it), at!["externalReference"]));
    let customer = input.customer.as_ref();
    let customer = customer.and_then(|it| p.check(CustomerRef::new(it), at!["customer"]));
    let personal = read_personal(input, p);
    let country = read_destination(input, p);
    let placed_at = read_placed_at(input, now, p);
    let currency = p.check(input.currency_code.0.parse::<Currency>(), at!["currencyCode"]);
    // Amounts mean nothing without their currency.
    let prices = currency.map(|currency| Prices::read(input, currency, p));
    let handling = read_handling(input, prices.as_ref().and_then(|prices| prices.total), p);
    let location = input.prefer_location.as_ref();
    let prefer_location =
        location.and_then(|it| p.check(LocationCode::new(it), at!["preferLocation"]));
    let risk_score = input.risk_score.and_then(|it| p.check(read_risk(it), at!["riskScore"]));
    let tags = read_tags(&input.tags, "tags", p);
    let metadata = read_metadata(&input.metadata, p);
    let prices = prices?;
    let details = OrderDetails {
        channel: channel?,
        external_reference,
        customer,
        contact: None,
        shipping_address: None,
        billing_address: None,
        country: country?,
        lines: prices.lines,
        discounts: prices.discounts,
        prices_include_tax: input.prices_include_tax,
        currency: currency?,
        total: prices.total?,
        handling: handling?,
        policies: read_policies(input),
        prefer_location,
        risk_score,
        tags,
        note: None,
        metadata,
    };
    Some(Wanted { key: key?, details, personal, placed_at: placed_at? })
}

struct Prices {
    lines: Vec<domain::order::Line>,
    discounts: Vec<domain::order::Discount>,
    total: Option<Money>,
}

impl Prices {
    fn read(input: &OrderPlaceInput, currency: Currency, p: &mut Problems) -> Self {
        Self {
            lines: read_order_lines(&input.lines, currency, p),
            discounts: read_discounts(&input.discounts, currency, &at!["discounts"], p),
            total: input.total.read(currency, at!["total"], p),
        }
    }
}

fn read_personal(input: &OrderPlaceInput, p: &mut Problems) -> Personal {
    let (shipping, billing) = (input.shipping_address.as_ref(), input.billing_address.as_ref());
    Personal {
        contact: input.contact.as_ref().and_then(|it| it.read(&at!["contact"], p)),
        shipping_address: shipping.and_then(|it| it.read(&at!["shippingAddress"], p)),
        billing_address: billing.and_then(|it| it.read(&at!["billingAddress"], p)),
        note: input.note.as_deref().and_then(|text| p.check(read_note(text), at!["note"])),
    }
}

fn read_destination(input: &OrderPlaceInput, p: &mut Problems) -> Option<CountryCode> {
    let shipped_to = input.shipping_address.as_ref().map(|address| &address.country);
    match (&input.country, shipped_to) {
        (Some(country), Some(shipped_to)) if country != shipped_to => {
            let message = "the shipping address is in another country; leave this out";
            p.add(UserError::invalid(at!["country"], message));
            None
        }
        (Some(country), _) => p.check(read_country(&country.0), at!["country"]),
        // If it is wrong, that is said where it stands.
        (None, Some(country)) => read_country(&country.0).ok(),
        (None, None) => {
            let message = "a country is needed: here, or in the shipping address";
            p.add(UserError::invalid(at!["country"], message));
            None
        }
    }
}

/// How the order is paid, and by whom it is handled.
fn read_handling(
    input: &OrderPlaceInput,
    total: Option<Money>,
    p: &mut Problems,
) -> Option<Handling> {
    let token = |token: &str, field: Vec<String>, p: &mut Problems| {
        let payment_token = Some(p.check(PaymentToken::new(token), field)?);
        Some(Handling::Partners { payment_token })
    };
    let refuse = |field: &str, message: &str, p: &mut Problems| {
        p.add(UserError::invalid(at![field], message));
        None
    };
    match (&input.payment_token, &input.payment, &input.imported) {
        (Some(text), None, None) => token(text, at!["paymentToken"], p),
        (None, Some(OrderPaymentInput::Token(text)), None) => {
            token(text, at!["payment", "token"], p)
        }
        (None, Some(OrderPaymentInput::Manual(true)), None) => {
            Some(Handling::Partners { payment_token: None })
        }
        (None, Some(OrderPaymentInput::Manual(false)), None) => {
            refuse("payment", "`manual` is `true`, or else there is a `token`", p)
        }
        (None, None, Some(imported)) => {
            let reference = PartnerReference::new(&imported.reference);
            let reference = p.check(reference, at!["imported", "reference"])?;
            Some(Handling::Elsewhere { reference })
        }
        (None, None, None) if total.is_some_and(|total| total.minor == 0) => {
            Some(Handling::Partners { payment_token: None })
        }
        (None, None, None) => {
            let message = "a payment token is needed, unless `payment` says that it is paid in \
                           another way, or `imported` that another system was paid";
            refuse("paymentToken", message, p)
        }
        (Some(_), Some(_), _) => {
            refuse("payment", "give either `payment` or `paymentToken`, not both", p)
        }
        (Some(_), None, Some(_)) => {
            let message = "an imported order has been paid elsewhere; leave the payment token out";
            refuse("paymentToken", message, p)
        }
        (None, Some(_), Some(_)) => {
            refuse("payment", "an imported order has been paid elsewhere; leave this out", p)
        }
    }
}

fn read_policies(input: &OrderPlaceInput) -> Policies {
    Policies {
        acceptance: input.policies.acceptance.into(),
        capture: input.policies.capture.into(),
        dispatch: input.policies.dispatch.into(),
    }
}

fn read_risk(score: i32) -> Result<u8, &'static str> {
    let score = u8::try_from(score).ok().filter(|score| *score <= 100);
    score.ok_or("a risk score is from 0 to 100")
}

fn read_metadata(entries: &[MetadataInput], p: &mut Problems) -> BTreeMap<String, String> {
    if entries.len() > MAX_METADATA {
        let message =
            format!("{} entries were given, at most {MAX_METADATA} are allowed", entries.len());
        p.add(UserError::invalid(at!["metadata"], message));
        return BTreeMap::new();
    }
    for (before, n) in repeated(entries.iter().map(|entry| entry.key.as_str())) {
        let message = format!("this name stands on entry {before} as well");
        p.add(UserError::invalid(at!["metadata", n, "key"], message));
    }
    let read = |(n, entry): (usize, &MetadataInput)| {
        let key = read_text(&entry.key, "a name", MAX_METADATA_KEY);
        let key = p.check(key, at!["metadata", n, "key"]);
        let value = read_text(&entry.value, "a value", MAX_METADATA_VALUE);
        let value = p.check(value, at!["metadata", n, "value"]);
        Some((key?, value?))
    };
    entries.iter().enumerate().filter_map(read).collect()
}

fn read_placed_at(
    input: &OrderPlaceInput,
    now: DateTime<Utc>,
    p: &mut Problems,
) -> Option<DateTime<Utc>> {
    let Some(imported) = &input.imported else { return Some(now) };
    let field = at!["imported", "placedAt"];
    if imported.placed_at > now + AHEAD {
        p.add(UserError::invalid(field, "an imported order was placed in the past"));
        return None;
    }
    // What is kept everywhere is microseconds.
    p.check(imported.placed_at.duration_trunc(TimeDelta::microseconds(1)), field)
}

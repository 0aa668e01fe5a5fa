//! `orderEdit`.

use async_graphql::{Context, Error, InputObject, MaybeUndefined, Object, SimpleObject};
use domain::ids::MovementId;
use domain::order::{OrderCommand, OrderEdit as Edit, OrderEvent, PaymentBook, PlacedOrder};
use domain::personal::{Contact, PostalAddress};
use uuid::Uuid;

use super::change::{Change, OrderInput, Outcome, order_payload};
use crate::graphql::input::{LineUnitsInput, read_tags};
use crate::graphql::model::Money;
use crate::graphql::persons::{ContactInput, PostalAddressInput, read_note};
use crate::graphql::user_error::at;

#[derive(Default)]
pub(crate) struct OrderEdit;

/// A change of an order; what is left out stays as it is.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct OrderEditInput {
    /// Which order.
    id: Uuid,
    /// The version of the order that this is meant for.
    expected_version: i32,
    /// How to reach who ordered, as a whole. Kept sealed.
    contact: Option<ContactInput>,
    /// Where the goods go, as long as not all of them have left. Kept sealed.
    shipping_address: Option<PostalAddressInput>,
    /// Where the invoice goes. Kept sealed.
    billing_address: Option<PostalAddressInput>,
    /// The note, at most 2000 characters; `null` takes it away. Kept sealed.
    note: MaybeUndefined<String>,
    /// Words to sort it by, at most 50.
    #[graphql(default)]
    add_tags: Vec<String>,
    /// Words not to sort it by any more, at most 50.
    #[graphql(default)]
    remove_tags: Vec<String>,
    /// Units to give up that have not left.
    #[graphql(default)]
    cancel_lines: Vec<LineUnitsInput>,
    /// Only say what would become of it.
    #[graphql(default)]
    preview: bool,
    /// Chosen by the caller, one per intention, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
}

impl OrderInput for OrderEditInput {
    const MUTATION: &'static str = "orderEdit";
    const ORDER: &'static str = "id";

    fn order_id(&self) -> Uuid {
        self.id
    }

    fn key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    fn version(&self) -> Option<i32> {
        Some(self.expected_version)
    }
}

order_payload! {
    /// What became of `orderEdit`, or what would.
    OrderEditPayload {
        /// What follows from it; none when there are user errors.
        consequences: Option<OrderEditConsequences>,
    }
}

/// What follows from an edit.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderEditConsequences {
    /// What the customer has to pay from then on.
    total: Money,
    /// What is still to be paid from then on.
    outstanding: Money,
    /// What goes back because of it.
    refund: Money,
    /// What payment gateways let go because of it.
    release: Money,
    /// What happens to the order, such as `order-lines-cancelled`.
    events: Vec<String>,
}

#[Object]
impl OrderEdit {
    /// Changes what can still be changed of an order: all of it or nothing. With `preview` nothing is
    /// done, and the answer says what would become of it. Needs the scope `orders:write`.
    async fn order_edit(
        &self,
        ctx: &Context<'_>,
        input: OrderEditInput,
    ) -> Result<OrderEditPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let command = read(&mut change, &input).await?;
        let outcome = if input.preview {
            change.preview(command).await?
        } else {
            change.execute(command).await?
        };
        let consequences = consequences(&outcome);
        Ok(OrderEditPayload { consequences, ..outcome.into() })
    }
}

/// What the input says in clear.
struct Words {
    contact: Option<Contact>,
    shipping_address: Option<PostalAddress>,
    billing_address: Option<PostalAddress>,
    note: MaybeUndefined<String>,
}

async fn read(
    change: &mut Change<'_>,
    input: &OrderEditInput,
) -> Result<Option<OrderCommand>, Error> {
    let words = read_words(change, input);
    let add_tags = read_tags(&input.add_tags, "addTags", &mut change.problems);
    let remove_tags = read_tags(&input.remove_tags, "removeTags", &mut change.problems);
    let cancel = change.units("cancelLines", &input.cancel_lines);
    let Some(name) = change.name() else { return Ok(None) };
    // Nothing is sealed for an input that is refused, nor for an order that is not there.
    if !change.problems.errors().is_empty() || change.order().await?.is_none() {
        return Ok(None);
    }
    let mut edit = Edit {
        contact: None,
        shipping_address: None,
        billing_address: None,
        note: None,
        add_tags,
        remove_tags,
        cancel,
        movement: MovementId::derive(change.id, &name),
        order: change.id,
    };
    seal(change, words, &mut edit).await?;
    Ok(Some(OrderCommand::Edit(edit)))
}

fn read_words(change: &mut Change<'_>, input: &OrderEditInput) -> Words {
    let problems = &mut change.problems;
    let contact = input.contact.as_ref();
    let (shipping, billing) = (input.shipping_address.as_ref(), input.billing_address.as_ref());
    Words {
        contact: contact.and_then(|it| it.read(&at!["contact"], problems)),
        shipping_address: shipping.and_then(|it| it.read(&at!["shippingAddress"], problems)),
        billing_address: billing.and_then(|it| it.read(&at!["billingAddress"], problems)),
        note: match &input.note {
            MaybeUndefined::Undefined => MaybeUndefined::Undefined,
            MaybeUndefined::Null => MaybeUndefined::Null,
            MaybeUndefined::Value(text) => problems
                .check(read_note(text), at!["note"])
                .map_or(MaybeUndefined::Undefined, MaybeUndefined::Value),
        },
    }
}

async fn seal(change: &mut Change<'_>, words: Words, edit: &mut Edit) -> Result<(), Error> {
    let sealer = change.sealer().await?;
    let Words { contact, shipping_address, billing_address, note } = words;
    edit.contact = sealer.seal_some("order-contact-changed", "contact", contact.as_ref()).await?;
    if let Some(address) = shipping_address {
        let event_type = "order-shipping-address-changed";
        let kept = sealer.seal(event_type, "shipping-address", &address).await?;
        edit.shipping_address = Some((kept, address.country));
    }
    let event_type = "order-billing-address-changed";
    let billing_address = billing_address.as_ref();
    edit.billing_address = sealer.seal_some(event_type, "billing-address", billing_address).await?;
    edit.note = match note {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(text) => {
            Some(Some(sealer.seal("order-note-changed", "note", &text).await?))
        }
    };
    Ok(())
}

fn consequences(outcome: &Outcome) -> Option<OrderEditConsequences> {
    let order: &PlacedOrder = outcome.order.as_ref()?.placed();
    let (mut refund, mut release) = (0, 0);
    for event in &outcome.events {
        if let OrderEvent::RefundRequested(requested) = event {
            refund += requested.amount.minor;
        }
        if let OrderEvent::VoidRequested(requested) = event {
            release += order.payments.get(&requested.payment).map_or(0, PaymentBook::held);
        }
    }
    Some(OrderEditConsequences {
        total: order.money(order.total()).into(),
        outstanding: order.money(order.outstanding()).into(),
        refund: order.money(refund).into(),
        release: order.money(release).into(),
        events: outcome.events.iter().map(|event| event_type(event).to_owned()).collect(),
    })
}

fn event_type(event: &OrderEvent) -> &'static str {
    schemas::StoredEvent::encode(event).event_type
}

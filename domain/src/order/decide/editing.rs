//! Editing: what can still be changed after an order was placed.

use std::collections::BTreeSet;

use super::{Decision, Story};
use crate::ids::CustomerRef;
use crate::order::command::{Action, OrderEdit};
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderBillingAddressChanged, OrderContactChanged, OrderCustomerAttached, OrderEvent,
    OrderNoteChanged, OrderShippingAddressChanged, OrderTagsChanged,
};
use crate::order::state::PlacedOrder;
use crate::order::terms::CancelReason;

/// Where goods go can be changed until the last of them has left; words about the order always.
/// What is as wanted already is left alone.
pub(super) fn edit(order: &PlacedOrder, edit: &OrderEdit) -> Decision {
    let mut story = Story::of(order);
    if let Some(contact) = edit.contact.as_ref().filter(|it| order.contact.as_ref() != Some(it)) {
        order.must_still_be_here()?;
        let contact = contact.clone();
        story.tell(OrderEvent::ContactChanged(OrderContactChanged { contact }));
    }
    if let Some((address, country)) = &edit.shipping_address
        && (order.shipping_address.as_ref() != Some(address) || order.country != *country)
    {
        order.must_still_be_here()?;
        // They were booked to the old address; what may leave by itself is planned again below.
        story.keep_shipments_from_leaving(|_| true);
        let (address, country) = (address.clone(), country.clone());
        let changed = OrderShippingAddressChanged { address, country };
        story.tell(OrderEvent::ShippingAddressChanged(changed));
    }
    if let Some(address) = &edit.billing_address
        && order.billing_address.as_ref() != Some(address)
    {
        order.must_be_open(Action::Edit)?;
        let address = address.clone();
        let changed = OrderBillingAddressChanged { address };
        story.tell(OrderEvent::BillingAddressChanged(changed));
    }
    if let Some(note) = edit.note.as_ref().filter(|note| **note != order.note) {
        story.tell(OrderEvent::NoteChanged(OrderNoteChanged { note: note.clone() }));
    }
    story.change_tags(edit);
    if !edit.cancel.is_empty() && !order.has_cancelled(&edit.cancel, edit.movement)? {
        order.must_be_open(Action::Edit)?;
        story.cancel_units(&edit.cancel, CancelReason::Customer, edit.movement)?;
        story.settle(CancelReason::Customer);
    }
    if !story.events.is_empty() {
        story.send_what_may_leave(edit.order);
        story.close_if_done();
    }
    Ok(story.events)
}

pub(super) fn attach_customer(order: &PlacedOrder, customer: &CustomerRef) -> Decision {
    match &order.customer {
        Some(known) if known == customer => Ok(vec![]),
        Some(_) => Err(OrderRejection::OtherCustomer),
        None => {
            let customer = customer.clone();
            Ok(vec![OrderEvent::CustomerAttached(OrderCustomerAttached { customer })])
        }
    }
}

impl Story {
    fn change_tags(&mut self, edit: &OrderEdit) {
        let added: BTreeSet<_> = edit.add_tags.difference(&self.order.tags).cloned().collect();
        let wanted_away = edit.remove_tags.difference(&edit.add_tags);
        let removed: BTreeSet<_> =
            wanted_away.filter(|tag| self.order.tags.contains(*tag)).cloned().collect();
        if !added.is_empty() || !removed.is_empty() {
            self.tell(OrderEvent::TagsChanged(OrderTagsChanged { added, removed }));
        }
    }
}

impl PlacedOrder {
    fn must_still_be_here(&self) -> Result<(), OrderRejection> {
        self.must_be_open(Action::Edit)?;
        let has_left = self.shipped() > 0 && self.unshipped() == 0;
        if has_left { Err(OrderRejection::AlreadyLeft) } else { Ok(()) }
    }
}

use uuid::Uuid;

use super::shop::*;
use crate::ids::{CountryCode, CustomerRef, SubjectId, Tag};
use crate::order::*;
use crate::personal::Sealed;

fn sealed(text: &str) -> Sealed {
    Sealed {
        subject: SubjectId::of_guest(id()),
        key: Uuid::nil(),
        sealed_in: "order-placed".to_owned(),
        ciphertext: text.to_owned(),
    }
}

fn nothing() -> OrderEdit {
    OrderEdit {
        contact: None,
        shipping_address: None,
        billing_address: None,
        note: None,
        add_tags: [].into(),
        remove_tags: [].into(),
        cancel: vec![],
        movement: movement("edit"),
        order: id(),
    }
}

fn to_ireland() -> OrderCommand {
    let address = Some((sealed("Dublin"), CountryCode::new("IE").unwrap()));
    OrderCommand::Edit(OrderEdit { shipping_address: address, ..nothing() })
}

#[test]
fn an_edit_without_changes_changes_nothing() {
    assert!(Shop::confirmed(two_mugs_and_postage()).does(OrderCommand::Edit(nothing())).is_empty());
}

#[test]
fn a_new_address_takes_back_what_was_booked_to_the_old_one() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    assert_eq!(
        names(&shop.does(to_ireland())),
        ["ShipmentCancelled", "ShippingAddressChanged", "ShipmentRequested"]
    );
    assert_eq!(shop.order().country.as_str(), "IE");
}

#[test]
fn the_address_of_goods_that_have_left_cannot_be_changed() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    shop.everything_leaves();
    assert_eq!(shop.refuses(to_ireland()), OrderRejection::AlreadyLeft);
}

#[test]
fn an_edit_is_all_or_nothing() {
    let shop = Shop::confirmed(two_mugs_and_postage());
    let edit = OrderEdit { contact: Some(sealed("new")), cancel: vec![units(0, 9)], ..nothing() };
    assert!(matches!(shop.refuses(OrderCommand::Edit(edit)), OrderRejection::NotSoMany { .. }));
}

#[test]
fn an_edit_may_give_up_units_and_change_words_at_once() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    shop.all_captures_succeed();
    let tag = |text| Tag::new(text).unwrap();
    let events = shop.does(OrderCommand::Edit(OrderEdit {
        note: Some(Some(sealed("ring twice"))),
        add_tags: [tag("gift"), tag("late")].into(),
        remove_tags: [tag("late"), tag("unknown")].into(),
        cancel: vec![units(0, 1)],
        ..nothing()
    }));
    assert_eq!(
        names(&events),
        [
            "NoteChanged",
            "TagsChanged",
            "ShipmentCancelled",
            "LinesCancelled",
            "RefundRequested",
            "ShipmentRequested"
        ]
    );
    assert_eq!(shop.order().total(), 800);
}

#[test]
fn a_guests_order_can_be_attached_to_one_customer() {
    let to =
        |customer| OrderCommand::AttachCustomer { customer: CustomerRef::new(customer).unwrap() };
    let mut shop = Shop::delivered(two_mugs_and_postage());
    shop.does(to("17850"));
    assert_eq!(shop.refuses(to("12345")), OrderRejection::OtherCustomer);
}

use super::shop::*;
use crate::ids::{PaymentId, PaymentToken};
use crate::order::*;

fn other_payment() -> PaymentId {
    PaymentId::derive(id(), "other")
}

fn received(amount: i64) -> OrderCommand {
    let (payment, amount) = (other_payment(), gbp(amount));
    OrderCommand::RecordPayment { payment, amount, reference: reference("till 7") }
}

fn ask_for(name: &str, amount: Option<i64>) -> OrderCommand {
    OrderCommand::RequestCapture {
        capture: capture(name),
        payment: None,
        amount: amount.map(gbp),
        is_final: false,
    }
}

fn captured_by_hand(mut details: OrderDetails) -> OrderDetails {
    details.policies.capture = CapturePolicy::Manual;
    details
}

#[test]
fn each_shipment_is_paid_when_it_leaves_the_first_with_the_charges_the_last_with_the_rest() {
    let mut shop = Shop::confirmed(manually_dispatched(two_mugs_and_postage()));
    for (name, worth, is_final) in [("first", 500 + 300, false), ("second", 500, true)] {
        shop.does(ship(name, "main", &[units(0, 1)]));
        shop.everything_leaves();
        let captures = shop.order().captures.values();
        assert!(captures.into_iter().any(|it| it.amount == worth && it.is_final == is_final));
        shop.all_captures_succeed();
    }
    assert_eq!(shop.order().payment_status(), PaymentStatus::Paid);
    assert_eq!(shop.order().held(), 0);
}

#[test]
fn charging_at_once_moves_everything_when_delivery_is_promised() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    shop.all_captures_succeed();
    assert_eq!(shop.order().payment_status(), PaymentStatus::Paid);
    shop.everything_leaves();
    assert_eq!(shop.order().captures.len(), 1);
}

#[test]
fn by_hand_money_is_moved_in_parts_and_never_more_than_is_owed_and_held() {
    let mut shop = Shop::confirmed(captured_by_hand(two_mugs_and_postage()));
    shop.does(ask_for("some", Some(1000)));
    let over = OrderRejection::OverCapture { requested: gbp(301), available: gbp(300) };
    assert_eq!(shop.refuses(ask_for("more", Some(301))), over);
    shop.does(ask_for("rest", None));
    assert_eq!(shop.order().captures[&capture("rest")].amount, 300);
    assert!(matches!(shop.refuses(ask_for("again", None)), OrderRejection::OverCapture { .. }));
}

#[test]
fn a_capture_that_failed_can_be_asked_for_again_under_another_key() {
    let mut shop = Shop::confirmed(captured_by_hand(two_mugs_and_postage()));
    shop.does(ask_for("first", None));
    let code = "declined".to_owned();
    shop.does(OrderCommand::RecordCaptureFailure { capture: capture("first"), code });
    shop.does(ask_for("second", None));
    assert_eq!(shop.order().outstanding(), 0);
    let other = ask_for("first", Some(1));
    assert_eq!(shop.refuses(other), OrderRejection::KeyReused);
}

#[test]
fn an_order_can_be_paid_by_hand_and_not_beyond_what_is_owed() {
    let mut details = two_mugs_and_postage();
    details.handling = Handling::Partners { payment_token: None };
    let mut shop = Shop::with(details).supplied();
    let over = OrderRejection::OverPayment { requested: gbp(1301), available: gbp(1300) };
    assert_eq!(shop.refuses(received(1301)), over);
    shop.does(received(1300));
    assert_eq!(shop.order().payment_status(), PaymentStatus::Paid);
    shop.does(OrderCommand::Confirm { order: id() });
    shop.everything_leaves();
    shop.everything_arrives();
    assert_eq!(shop.order().status, OrderStatus::Completed);
}

#[test]
fn an_order_can_be_paid_in_several_ways() {
    let mut shop = Shop::with(captured_by_hand(two_mugs_and_postage())).supplied();
    shop.does(authorised(800));
    assert_eq!(shop.order().payment_status(), PaymentStatus::PartiallyAuthorised);
    let payment_token = PaymentToken::new("tok_gift").unwrap();
    let (payment, amount) = (other_payment(), None);
    let events = shop.does(OrderCommand::RequestPayment { payment, payment_token, amount });
    assert!(matches!(&events[..], [OrderEvent::PaymentRequested(it)] if it.amount == gbp(500)));
    shop.does(OrderCommand::RecordAuthorisation { payment, amount: gbp(500), expires_at: None });
    shop.does(OrderCommand::Confirm { order: id() });
    shop.does(ask_for("all of one", Some(800)));
    shop.does(ask_for("the other", None));
    shop.all_captures_succeed();
    assert_eq!(shop.order().payment_status(), PaymentStatus::Paid);
    // No single payment can carry it.
    shop.does(refund_amount("everything", 1300));
    assert_eq!(shop.order().refunds.len(), 2);
    assert_eq!(shop.order().refundable(), 0);
}

#[test]
fn goods_do_not_leave_when_nothing_is_held_any_more() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    shop.does(OrderCommand::RecordExpiry { payment: payment() });
    assert_eq!(shop.order().payment_status(), PaymentStatus::Expired);
    let [shipment] = shop.waiting()[..] else { panic!() };
    let dispatch = || OrderCommand::RecordDispatch { shipment, parcels: vec![] };
    assert!(matches!(shop.refuses(dispatch()), OrderRejection::Unfunded { .. }));
    shop.does(received(1300));
    shop.does(dispatch());
}

#[test]
fn refunding_every_unit_one_by_one_adds_up_to_what_was_paid() {
    let mut details = order_of(vec![goods("MUG", 7, 333), charge("POST", 299)]);
    details.discounts = vec![Discount { title: "TEN".to_owned(), amount: gbp(250) }];
    details.total = gbp(7 * 333 + 299 - 250);
    let mut shop = Shop::delivered(details);
    for n in 0..7 {
        shop.does(refund_lines(&format!("mug {n}"), &[units(0, 1)]));
    }
    shop.does(refund_lines("postage", &[units(1, 1)]));
    shop.all_refunds_succeed();
    assert_eq!(shop.order().refunded(), 7 * 333 + 299 - 250);
    assert_eq!(shop.order().payment_status(), PaymentStatus::Refunded);
    let eighth = shop.refuses(refund_lines("one more", &[units(0, 1)]));
    assert!(matches!(eighth, OrderRejection::NotSoMany { available: 0, .. }));
}

#[test]
fn not_more_goes_back_than_came_counting_what_is_on_its_way() {
    let mut shop = Shop::delivered(two_mugs_and_postage());
    shop.does(refund_amount("goodwill", 1000));
    let over = OrderRejection::OverRefund { requested: gbp(301), available: gbp(300) };
    assert_eq!(shop.refuses(refund_amount("more", 301)), over);
    assert_eq!(shop.order().payment_status(), PaymentStatus::Paid, "nothing went back yet");
    shop.all_refunds_succeed();
    assert_eq!(shop.order().payment_status(), PaymentStatus::PartiallyRefunded);
}

#[test]
fn a_refund_that_failed_frees_its_money_and_its_units() {
    let mut shop = Shop::delivered(two_mugs_and_postage());
    shop.does(refund_lines("first", &[units(0, 2)]));
    let code = "closed account".to_owned();
    shop.does(OrderCommand::RecordRefundFailure { refund: refund("first"), code });
    assert_eq!((shop.line(0).refunded, shop.order().refundable()), (0, 1300));
    shop.does(refund_lines("second", &[units(0, 2)]));
    assert_eq!(shop.order().refunds[&refund("second")].amount, 1000);
}

#[test]
fn what_has_not_left_is_cancelled_and_not_refunded() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    shop.all_captures_succeed();
    let early = shop.refuses(refund_lines("early", &[units(0, 1)]));
    assert!(matches!(early, OrderRejection::NotSoMany { available: 0, .. }));
    shop.does(refund_amount("goodwill", 100));
    shop.does(cancel());
    let back: i64 = shop.order().refunds.values().map(|refund| refund.amount).sum();
    assert_eq!(back, 1300, "goodwill and cancellation together are what was paid");
}

#[test]
fn held_money_is_not_let_go_while_goods_are_to_be_paid_from_it() {
    let shop = Shop::confirmed(two_mugs_and_postage());
    let void = OrderCommand::RequestVoid { payment: payment() };
    assert_eq!(shop.refuses(void), OrderRejection::StillNeeded);
}

#[test]
fn a_chargeback_counts_once_and_cannot_be_refunded_too() {
    let mut shop = Shop::delivered(two_mugs_and_postage());
    let took = |amount| OrderCommand::RecordChargeback {
        payment: payment(),
        amount: gbp(amount),
        reference: reference("dp_1"),
        reason: "fraudulent".to_owned(),
    };
    shop.does(took(1000));
    assert_eq!(shop.refuses(took(900)), OrderRejection::KeyReused);
    assert_eq!(shop.order().payment_status(), PaymentStatus::ChargedBack);
    assert!(matches!(
        shop.refuses(refund_amount("too", 301)),
        OrderRejection::OverRefund { available, .. } if available == gbp(300)
    ));
}

#[test]
fn other_currencies_and_amounts_of_nothing_are_refused() {
    let shop = Shop::delivered(two_mugs_and_postage());
    assert!(matches!(shop.refuses(refund_amount("none", 0)), OrderRejection::NotPositive { .. }));
    let euros = crate::money::Money::new(1, crate::money::Currency::EUR);
    let other = refund_of("euros", RefundOf::Amount(euros), None);
    assert!(matches!(shop.refuses(other), OrderRejection::OtherCurrency { .. }));
}

#[test]
fn an_order_without_a_price_needs_no_payment() {
    let mut shop = Shop::confirmed(order_of(vec![goods("SAMPLE", 1, 0)]));
    assert_eq!(shop.order().payment_status(), PaymentStatus::NotRequired);
    shop.everything_leaves();
    shop.everything_arrives();
    assert_eq!(shop.order().status, OrderStatus::Completed);
}

#[test]
fn an_order_of_charges_alone_is_paid_and_done_when_it_is_confirmed() {
    let mut shop = Shop::with(order_of(vec![charge("REPAIR", 900)])).paid();
    shop.does(OrderCommand::Confirm { order: id() });
    shop.all_captures_succeed();
    assert_eq!(shop.order().status, OrderStatus::Completed);
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::NotRequired);
}

#[test]
fn a_capture_is_not_final_while_another_is_on_its_way() {
    let goods = vec![found("MUG", &[("main", 1), ("north", 1)], 0)];
    let mut shop = Shop::with(two_mugs_and_postage())
        .then(OrderCommand::RecordAllocation { goods })
        .paid()
        .then(OrderCommand::Confirm { order: id() });
    shop.everything_leaves();
    // Whichever the gateway carries out first must leave enough for the other.
    assert!(shop.order().captures.values().all(|capture| !capture.is_final));
    shop.all_captures_succeed();
    assert_eq!((shop.order().captured(), shop.order().held()), (1300, 0));
}

#[test]
fn money_on_its_way_is_neither_let_go_nor_left_without_the_rest() {
    let mut shop = Shop::confirmed(captured_by_hand(two_mugs_and_postage()));
    shop.does(ask_for("some", Some(500)));
    let last = OrderCommand::RequestCapture {
        capture: capture("rest"),
        payment: None,
        amount: None,
        is_final: true,
    };
    shop.does(last);
    assert!(!shop.order().captures[&capture("rest")].is_final);
    let void = OrderCommand::RequestVoid { payment: payment() };
    let mut shop = Shop::confirmed(captured_by_hand(two_mugs_and_postage()));
    shop.does(ask_for("some", Some(500)));
    shop.does(cancel_lines(&[units(0, 1)], "one less"));
    assert_eq!(shop.refuses(void), OrderRejection::StillNeeded);
}

#[test]
fn what_was_paid_before_stock_fell_short_goes_back() {
    let mut details = accepting_less(order_of(vec![goods("MUG", 2, 500)]));
    details.handling = Handling::Partners { payment_token: None };
    let mut shop = Shop::with(details).then(received(1000));
    let goods = vec![found("MUG", &[("main", 1)], 0)];
    shop.does(OrderCommand::RecordAllocation { goods });
    assert_eq!(shop.order().refunded(), 500);
}

#[test]
fn what_goes_back_by_hand_in_place_of_a_failed_refund_goes_back_once() {
    let mut shop = Shop::confirmed(charged_at_once(order_of(vec![goods("MUG", 10, 100)])));
    shop.all_captures_succeed();
    shop.does(cancel_lines(&[units(0, 5)], "five less"));
    let [failed] = shop.order().refunds.keys().copied().collect::<Vec<_>>()[..] else { panic!() };
    let code = "closed account".to_owned();
    shop.does(OrderCommand::RecordRefundFailure { refund: failed, code });
    shop.does(refund_amount("by hand", 500));
    shop.does(cancel_lines(&[units(0, 1)], "one less"));
    assert_eq!(shop.order().refunded(), 600);
}

#[test]
fn charging_at_once_that_failed_is_tried_again_when_goods_leave() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    let [first] = shop.order().captures.keys().copied().collect::<Vec<_>>()[..] else { panic!() };
    let code = "capture_declined".to_owned();
    shop.does(OrderCommand::RecordCaptureFailure { capture: first, code });
    shop.everything_leaves();
    assert_eq!(shop.order().payments[&payment()].capturing, 1300);
}

#[test]
fn after_a_chargeback_nothing_leaves_until_somebody_has_looked_at_it() {
    let details = charged_at_once(manually_dispatched(order_of(vec![goods("MUG", 2, 500)])));
    let mut shop = Shop::confirmed(details);
    shop.all_captures_succeed();
    let back = OrderCommand::RecordChargeback {
        payment: payment(),
        amount: gbp(600),
        reference: reference("dp_1"),
        reason: "fraudulent".to_owned(),
    };
    assert_eq!(names(&shop.does(back)), ["ChargedBack", "Held"]);
    assert!(matches!(shop.refuses(ship("s", "main", &[])), OrderRejection::OnHold { .. }));
    shop.does(cancel_lines(&[units(0, 1)], "one less"));
    assert_eq!(shop.order().refunded(), 0, "the bank has taken more than that already");
}

#[test]
fn the_same_key_with_something_else_is_refused() {
    let mut shop = Shop::delivered(two_mugs_and_postage());
    shop.does(refund_amount("k", 10));
    assert_eq!(shop.refuses(refund_amount("k", 11)), OrderRejection::KeyReused);
    assert_eq!(shop.refuses(refund_lines("k", &[units(0, 1)])), OrderRejection::KeyReused);
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    shop.does(cancel_lines(&[units(0, 1)], "k"));
    assert_eq!(shop.refuses(cancel_lines(&[units(0, 2)], "k")), OrderRejection::KeyReused);
    let ask = |amount| OrderCommand::RequestPayment {
        payment: other_payment(),
        payment_token: PaymentToken::new("tok_gift").unwrap(),
        amount: Some(gbp(amount)),
    };
    let mut shop = Shop::with(two_mugs_and_postage());
    shop.does(ask(100));
    assert_eq!(shop.refuses(ask(200)), OrderRejection::KeyReused);
}

#[test]
fn not_more_is_asked_for_or_held_than_is_to_be_paid() {
    let ask = |name: &str, amount: Option<i64>| OrderCommand::RequestPayment {
        payment: PaymentId::derive(id(), name),
        payment_token: PaymentToken::new("tok_gift").unwrap(),
        amount: amount.map(gbp),
    };
    let held = |name: &str| OrderCommand::RecordAuthorisation {
        payment: PaymentId::derive(id(), name),
        amount: gbp(1300),
        expires_at: None,
    };
    let mut shop = Shop::with(two_mugs_and_postage()).supplied();
    shop.does(ask("b", None));
    assert!(matches!(shop.refuses(ask("c", None)), OrderRejection::NotPositive { .. }));
    assert!(matches!(shop.refuses(ask("c", Some(1))), OrderRejection::OverPayment { .. }));
    shop.does(held("b"));
    // The card that the order was placed with answers after all.
    assert_eq!(names(&shop.does(authorised(1300))), ["PaymentAuthorised", "VoidRequested"]);
    assert_eq!(shop.order().held(), 1300);
}

#[test]
fn what_ran_out_while_it_was_on_its_way_is_not_held_when_it_does_not_come() {
    let details = charged_at_once(manually_dispatched(two_mugs_and_postage()));
    let mut shop = Shop::confirmed(details);
    let [first] = shop.order().captures.keys().copied().collect::<Vec<_>>()[..] else { panic!() };
    shop.does(OrderCommand::RecordExpiry { payment: payment() });
    let code = "capture_declined".to_owned();
    shop.does(OrderCommand::RecordCaptureFailure { capture: first, code });
    assert_eq!(shop.order().held(), 0);
    assert_eq!(shop.order().payment_status(), PaymentStatus::Expired);
}

#[test]
fn nothing_goes_back_while_money_that_may_not_come_is_on_its_way() {
    let mut shop = Shop::confirmed(captured_by_hand(order_of(vec![goods("MUG", 2, 500)])));
    shop.does(ask_for("a", Some(500)));
    shop.does(OrderCommand::RecordCapture { capture: capture("a") });
    shop.does(ask_for("b", Some(500)));
    shop.does(cancel_lines(&[units(0, 1)], "one less"));
    assert_eq!(shop.order().refunded(), 0);
    let code = "declined".to_owned();
    shop.does(OrderCommand::RecordCaptureFailure { capture: capture("b"), code });
    assert_eq!((shop.order().refunded(), shop.order().outstanding()), (0, 0));
}

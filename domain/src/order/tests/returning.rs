use super::shop::*;
use crate::order::*;
use crate::quantity::Quantity;

fn ask(lines: &[LineUnits]) -> OrderCommand {
    OrderCommand::RequestReturn {
        return_id: a_return(),
        lines: lines.to_vec(),
        reason: ReturnReason::Damaged,
        note: None,
    }
}

fn came(count: i64, disposition: Disposition, name: &str) -> OrderCommand {
    let quantity = Quantity::new(count).unwrap();
    let goods = vec![ReceivedUnits { line: 0, quantity, disposition, location: place("main") }];
    OrderCommand::ReceiveReturn { return_id: a_return(), goods, movement: movement(name) }
}

const APPROVE: fn() -> OrderCommand = || OrderCommand::ApproveReturn { return_id: a_return() };
const CLOSE: fn() -> OrderCommand = || OrderCommand::CloseReturn { return_id: a_return() };

fn delivered() -> Shop {
    Shop::delivered(two_mugs_and_postage())
}

#[test]
fn only_goods_that_left_can_be_sent_back_and_only_once() {
    let shop = Shop::confirmed(two_mugs_and_postage());
    let refused = |shop: &Shop, lines: &[LineUnits]| {
        matches!(shop.refuses(ask(lines)), OrderRejection::NotSoMany { .. })
    };
    assert!(refused(&shop, &[units(0, 1)]));
    let shop = delivered();
    assert!(refused(&shop, &[units(0, 3)]));
    assert!(refused(&shop, &[units(0, 1), units(0, 2)]));
    assert!(refused(&shop, &[units(1, 1)]), "postage does not come back");
    let mut shop = shop.then(ask(&[units(0, 2)]));
    let another = OrderCommand::RequestReturn {
        return_id: crate::ids::ReturnId::derive(id(), "another"),
        lines: vec![units(0, 1)],
        reason: ReturnReason::Size,
        note: None,
    };
    assert!(matches!(shop.refuses(another.clone()), OrderRejection::NotSoMany { .. }));
    shop.does(OrderCommand::DeclineReturn { return_id: a_return(), note: None });
    assert_eq!(shop.order().return_status(), ReturnStatus::Declined);
    shop.does(another);
    assert_eq!(shop.order().return_status(), ReturnStatus::Requested);
}

#[test]
fn a_return_goes_from_asking_to_closing() {
    let mut shop = delivered().then(ask(&[units(0, 2)]));
    let early = came(1, Disposition::Restocked, "early");
    assert!(matches!(shop.refuses(early), OrderRejection::ReturnStatus { .. }));
    shop.does(APPROVE());
    assert_eq!(shop.order().return_status(), ReturnStatus::InProgress);
    shop.does(came(1, Disposition::Restocked, "first parcel"));
    assert_eq!(shop.order().return_status(), ReturnStatus::PartiallyReturned);
    shop.does(came(1, Disposition::WrittenOff, "second parcel"));
    assert_eq!(shop.order().return_status(), ReturnStatus::Returned);
    assert!(matches!(
        shop.refuses(came(1, Disposition::Missing, "too many")),
        OrderRejection::NotSoMany { available: 0, .. }
    ));
    shop.does(CLOSE());
    assert_eq!((shop.line(0).return_requested, shop.line(0).returned), (2, 2));
}

#[test]
fn what_never_came_may_be_asked_back_again_after_closing() {
    let mut shop = delivered().then(ask(&[units(0, 2)])).then(APPROVE());
    shop.does(came(1, Disposition::Restocked, "one"));
    shop.does(came(1, Disposition::Missing, "other"));
    assert_eq!(shop.line(0).returned, 1);
    shop.does(CLOSE());
    assert_eq!((shop.line(0).return_requested, shop.line(0).returnable()), (1, 1));
}

#[test]
fn money_for_a_return_is_a_decision_of_its_own() {
    let mut shop = delivered().then(ask(&[units(0, 1)]));
    let back = |name| refund_of(name, RefundOf::Lines(vec![units(0, 1)]), Some(a_return()));
    assert!(matches!(shop.refuses(back("early")), OrderRejection::ReturnStatus { .. }));
    shop.does(APPROVE());
    shop.does(came(1, Disposition::Restocked, "it"));
    assert!(shop.order().refunds.is_empty(), "goods alone move no money");
    shop.does(back("now"));
    let refund = &shop.order().refunds[&refund("now")];
    assert_eq!((refund.amount, refund.cause), (500, RefundCause::Return));
}

#[test]
fn a_declined_return_stays_declined() {
    let mut shop = delivered().then(ask(&[units(0, 1)]));
    shop.does(OrderCommand::DeclineReturn { return_id: a_return(), note: None });
    let status = ReturnProgress::Declined;
    assert_eq!(shop.refuses(APPROVE()), OrderRejection::ReturnStatus { status });
    assert_eq!(shop.refuses(CLOSE()), OrderRejection::ReturnStatus { status });
}

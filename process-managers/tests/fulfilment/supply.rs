//! Goods: split over places, taken in part, awaited, given back, put back onto the shelf.

use domain::fulfilment::Outcome;
use domain::ids::{LocationCode, MovementId, ReturnId};
use domain::order::{
    CancelReason, Disposition, FulfilmentStatus, LineUnits, OrderCommand, OrderStatus, Policies,
    ReceivedUnits, ReturnReason, ShipmentStatus,
};
use domain::quantity::Quantity;
use domain::stock::Acceptance;

use crate::shop::{Shop, Wanted};

fn with_what_there_is() -> Policies {
    Policies { acceptance: Acceptance::Partial, ..Policies::default() }
}

#[tokio::test]
async fn goods_from_two_places_leave_in_two_shipments_each_paid_when_it_leaves() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive_at("leeds", "MUG", 2).await;
    shop.receive_at("york", "MUG", 2).await;
    let order = shop.place(&[("MUG", 3)], "tok_ok").await;

    let state = shop.completes(order).await;
    assert_eq!(state.shipments.len(), 2);
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.captures, charged.captured), (1, 2, 300));
    assert_eq!(shop.shelves("MUG").await, (1, 0));
    assert_eq!(shop.carried(order).await.len(), 2);
    manager.stop().await;
}

#[tokio::test]
async fn who_takes_what_there_is_pays_for_that_alone() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 2).await;
    shop.receive("CUP", 1).await;
    let lines = [("MUG", 3), ("CUP", 1), ("BOWL", 5)];
    let wanted = Wanted { policies: with_what_there_is(), ..Wanted::paid_with("tok_ok", &lines) };
    let order = shop.place_wanted(wanted).await;

    let state = shop.completes(order).await;
    let cancelled: Vec<_> = state.lines.iter().map(|line| line.cancelled).collect();
    assert_eq!(cancelled, [1, 0, 5]);
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorised, charged.captured), (300, 300));
    assert_eq!((shop.shelves("MUG").await, shop.shelves("CUP").await), ((0, 0), (0, 0)));
    manager.stop().await;
}

#[tokio::test]
async fn who_takes_what_there_is_gets_a_refusal_when_there_is_nothing() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    let wanted =
        Wanted { policies: with_what_there_is(), ..Wanted::paid_with("tok_ok", &[("MUG", 3)]) };
    let order = shop.place_wanted(wanted).await;
    assert_eq!(shop.finished(order).await, Outcome::Rejected);
    assert!(matches!(shop.status(order).await, OrderStatus::Rejected(_)));
    manager.stop().await;
}

#[tokio::test]
async fn what_is_awaited_leaves_when_it_has_come_and_completes_the_order() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.promise_before_it_comes("MUG").await;
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 2), ("MUG", 2)], "tok_ok").await;
    let state = shop.becomes(order, |order| order.lines[0].delivered == 1).await;
    assert_eq!((state.lines[0].backordered, state.lines[1].backordered), (1, 2));
    assert_eq!(shop.charged(order).await.captured, 100, "what is awaited is not charged");

    shop.receive("MUG", 2).await;
    shop.becomes(order, |order| order.lines[1].delivered == 1).await;
    shop.receive_at("york", "MUG", 5).await;
    let state = shop.completes(order).await;
    assert_eq!(state.fulfilment_status(), FulfilmentStatus::Delivered);
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.captured, charged.held()), (1, 400, 0));
    assert_eq!(shop.shelves("MUG").await, (4, 0));
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn more_orders_than_one_decision_can_supply_are_all_supplied() {
    let shop = Shop::open().await;
    shop.promise_before_it_comes("MUG").await;
    let manager = shop.process_manager();
    let mut orders = vec![];
    for _ in 0..520 {
        orders.push(shop.place(&[("MUG", 1)], "tok_ok").await);
    }
    for &order in &orders {
        shop.becomes(order, |order| order.lines[0].backordered == 1).await;
    }
    shop.receive("MUG", 520).await;
    for order in orders {
        shop.completes(order).await;
    }
    assert_eq!(shop.shelves("MUG").await, (0, 0));
    manager.stop().await;
}

#[tokio::test]
async fn cancelled_units_go_back_to_where_they_were() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive_at("leeds", "MUG", 2).await;
    shop.receive_at("york", "MUG", 2).await;
    let held = Wanted { holds: vec!["fraud"], ..Wanted::paid_with("tok_ok", &[("MUG", 4)]) };
    let order = shop.place_wanted(held).await;
    shop.becomes(order, |order| order.held() == 400).await;
    assert_eq!(shop.shelves("MUG").await, (4, 4));

    shop.cancel_units(order, 0, 1).await;
    shop.release_hold(order, "fraud").await;
    shop.completes(order).await;
    shop.comes_to_rest().await;
    assert_eq!(shop.shelves("MUG").await, (1, 0));
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorised, charged.captured, charged.held()), (400, 300, 0));
    manager.stop().await;
}

#[tokio::test]
async fn awaited_units_that_are_cancelled_are_not_awaited_any_more() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.promise_before_it_comes("MUG").await;
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 3)], "tok_ok").await;
    shop.becomes(order, |order| order.lines[0].delivered == 1).await;
    shop.cancel_units(order, 0, 2).await;
    shop.completes(order).await;
    shop.comes_to_rest().await;
    shop.receive("MUG", 5).await;
    assert_eq!(shop.shelves("MUG").await, (5, 0));
    assert_eq!(shop.charged(order).await.held(), 0);
    manager.stop().await;
}

#[tokio::test]
async fn goods_that_come_back_can_be_sold_again_if_they_are_good() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 3).await;
    let order = shop.place(&[("MUG", 1), ("MUG", 2)], "tok_ok").await;
    shop.completes(order).await;

    let return_id = ReturnId::derive(order, "1");
    let units = |line, units| LineUnits { line, quantity: Quantity::new(units).unwrap() };
    let (lines, reason) = (vec![units(0, 1), units(1, 2)], ReturnReason::Size);
    let request = OrderCommand::RequestReturn { return_id, lines, reason, note: None };
    shop.tell(order, request).await;
    shop.tell(order, OrderCommand::ApproveReturn { return_id }).await;
    let came = |line, disposition| ReceivedUnits {
        line,
        quantity: Quantity::ONE,
        disposition,
        location: LocationCode::new("york").unwrap(),
    };
    let goods = vec![
        came(0, Disposition::Restocked),
        came(1, Disposition::Restocked),
        came(1, Disposition::WrittenOff),
    ];
    let movement = MovementId::derive(order, "1");
    shop.tell(order, OrderCommand::ReceiveReturn { return_id, goods, movement }).await;
    shop.comes_to_rest().await;
    assert_eq!(shop.shelves("MUG").await, (2, 0));
    let york = shop.stock("MUG").await.at(&LocationCode::new("york").unwrap());
    assert_eq!(york.on_hand, 2);
    manager.stop().await;
}

#[tokio::test]
async fn an_order_whose_last_goods_are_cancelled_is_cancelled() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 2).await;
    let held = Wanted { holds: vec!["fraud"], ..Wanted::paid_with("tok_ok", &[("MUG", 2)]) };
    let order = shop.place_wanted(held).await;
    shop.becomes(order, |order| order.held() == 200).await;
    shop.cancel_units(order, 0, 2).await;
    assert_eq!(shop.status(order).await, OrderStatus::Cancelled(CancelReason::Customer));
    shop.comes_to_rest().await;
    assert_eq!(shop.shelves("MUG").await, (2, 0));
    assert_eq!(shop.charged(order).await.held(), 0);
    let none = shop.order(order).await.shipments.into_values();
    assert!(none.into_iter().all(|it| it.status == ShipmentStatus::Cancelled));
    manager.stop().await;
}

//! A cancellation wins over everything that has not left.

use std::time::Duration;

use domain::fulfilment::{Outcome, Phase, Step};
use domain::ids::{LocationCode, ShipmentId};
use domain::order::{
    CancelReason, DispatchPolicy, OrderCommand, OrderStatus, Policies, ShipmentStatus, ShippedBy,
};
use domain::shipment::ShipmentStage;

use crate::shop::{Shop, Wanted};

fn by_the_warehouse() -> Policies {
    Policies { dispatch: DispatchPolicy::Manual, ..Policies::default() }
}

#[tokio::test]
async fn a_cancellation_wins_over_a_payment_in_flight() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_slow").await;
    shop.reaches(order, |phase| *phase == Phase::Due(Step::AuthorisePayment)).await;
    assert!(shop.cancel(order).await);

    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    assert_eq!(shop.status(order).await, OrderStatus::Cancelled(CancelReason::Customer));
    shop.comes_to_rest().await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.captured, charged.held()), (0, 0), "a late success is compensated");
    assert_eq!(shop.shelves("MUG").await, (10, 0));
    manager.stop().await;
}

#[tokio::test]
async fn an_order_that_is_cancelled_before_anybody_looks_at_it_leaves_nothing_behind() {
    let shop = Shop::open().await;
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_ok").await;
    assert!(shop.cancel(order).await);
    let manager = shop.process_manager();
    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    shop.comes_to_rest().await;
    assert_eq!(shop.charged(order).await.held(), 0);
    assert_eq!(shop.shelves("MUG").await, (10, 0));
    manager.stop().await;
}

#[tokio::test]
async fn a_confirmed_order_can_be_cancelled_until_it_leaves() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let wanted =
        Wanted { policies: by_the_warehouse(), ..Wanted::paid_with("tok_ok", &[("MUG", 2)]) };
    let order = shop.place_wanted(wanted).await;
    shop.becomes(order, |order| order.status == OrderStatus::Confirmed).await;
    assert!(shop.cancel(order).await);
    shop.comes_to_rest().await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorised, charged.captured, charged.held()), (200, 0, 0));
    assert_eq!(shop.shelves("MUG").await, (10, 0));
    manager.stop().await;
}

#[tokio::test]
async fn what_has_left_stays_and_the_rest_is_cancelled() {
    let shop = Shop::open_with(|it| it.carrier_transit = Duration::from_millis(400)).await;
    let manager = shop.process_manager();
    shop.promise_before_it_comes("MUG").await;
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 3)], "tok_ok").await;
    shop.becomes(order, |order| order.shipped() == 1).await;
    assert!(shop.cancel(order).await);

    let state = shop.completes(order).await;
    assert_eq!((state.lines[0].delivered, state.lines[0].cancelled), (1, 2));
    shop.comes_to_rest().await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.kept(), charged.held()), (100, 0));
    shop.receive("MUG", 2).await;
    assert_eq!(shop.shelves("MUG").await, (2, 0), "nothing is awaited for it any more");
    manager.stop().await;
}

#[tokio::test]
async fn a_cancellation_that_races_with_the_shipping_never_leaves_it_in_between() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 40).await;
    let mut orders = vec![];
    for number in 0..40_u64 {
        let order = shop.place(&[("MUG", 1)], "tok_ok").await;
        // Each a little later in the life of its order than the one before.
        tokio::time::sleep(Duration::from_millis(number)).await;
        shop.cancel(order).await;
        orders.push(order);
    }
    let mut sold = 0;
    for order in orders {
        let state = shop.becomes(order, |order| {
            matches!(order.status, OrderStatus::Completed | OrderStatus::Cancelled(_))
        });
        let state = state.await;
        sold += state.shipped();
        shop.comes_to_rest().await;
        let charged = shop.charged(order).await;
        assert_eq!((charged.kept(), charged.held()), (state.shipped() * 100, 0));
    }
    assert_eq!(shop.shelves("MUG").await, (40 - sold, 0));
    manager.stop().await;
}

#[tokio::test]
async fn a_shipment_that_is_cancelled_is_not_fetched_and_its_goods_can_leave_in_another() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 2).await;
    let wanted =
        Wanted { policies: by_the_warehouse(), ..Wanted::paid_with("tok_ok", &[("MUG", 2)]) };
    let order = shop.place_wanted(wanted).await;
    shop.becomes(order, |order| order.status == OrderStatus::Confirmed).await;

    let shipment = ShipmentId::derive(order, "1");
    let (location, by) = (LocationCode::default(), ShippedBy::Partner { parcels: 1 });
    let request = |shipment| OrderCommand::RequestShipment {
        shipment,
        location: location.clone(),
        lines: vec![],
        by: by.clone(),
    };
    shop.tell(order, request(shipment)).await;
    shop.reaches(shipment, |phase| *phase == Phase::Due(Step::BookShipment)).await;
    shop.tell(order, OrderCommand::CancelShipment { shipment }).await;
    assert_eq!(shop.finished(shipment).await, Outcome::Cancelled);
    assert_eq!(shop.shipment(shipment).await.stage, ShipmentStage::NotBooked);
    assert_eq!(shop.shelves("MUG").await, (2, 2));

    let other = ShipmentId::derive(order, "2");
    shop.tell(order, request(other)).await;
    shop.tell(order, OrderCommand::ClearShipment { shipment: other }).await;
    let state = shop.completes(order).await;
    assert_eq!(state.shipments[&shipment].status, ShipmentStatus::Cancelled);
    assert_eq!(shop.shelves("MUG").await, (0, 0));
    manager.stop().await;
}

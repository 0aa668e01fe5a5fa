//! What rows say.

use domain::ids::{CreditNoteId, PaymentId, ShipmentId};
use domain::shipment::TrackingStatus;
use projector::read_model::{
    Handling, LineKind, OrderFulfilmentStatus, OrderStatus, PaymentMovementKind,
    PaymentMovementState, PaymentSource, PaymentStatus, ProcessOutcome, ProcessStatus,
    ShipmentStatus,
};
use uuid::Uuid;

use crate::history::{at, order_id, order_stream, placed, sku};
use crate::world::{World, settled};

#[tokio::test]
async fn rows_say_what_the_events_say() {
    let world = World::open().await;
    let projector = world.projector();
    world.append(&order_stream(4), &[placed(4)]).await;
    world.append(&crate::history::stock_stream(4), &[crate::history::received(1, 100)]).await;
    world.fulfil(4).await;
    settled(&world, &projector).await;
    let reader = world.reader();
    let id = order_id(4).0;

    let order = reader.order(id).await.unwrap().unwrap();
    assert_eq!(
        (order.status, order.revision, order.quarantined),
        (OrderStatus::Completed, 3, false)
    );
    assert_eq!((order.currency.as_str(), order.country.as_str()), ("GBP", "GB"));
    assert_eq!((order.total_minor, order.line_count, order.unit_count), (3_075, 2, 6));
    assert_eq!((order.customer, order.channel.as_str()), (None, "web"));
    assert_eq!((order.handling, order.reason), (Handling::Partners, None));
    assert_eq!(order.fulfilment_status, OrderFulfilmentStatus::Delivered);
    assert_eq!((order.placed_at, order.recorded_at, order.updated_at), (at(1), at(0), at(3)));

    let lines = reader.lines_of(&[id]).await.unwrap();
    let says =
        lines.iter().map(|l| (l.line, l.sku.as_str(), l.kind, l.quantity, l.unit_price_minor));
    let goods = (0, sku(4).to_string());
    let wanted = [
        (goods.0, goods.1.as_str(), LineKind::Goods, 5, 255),
        (1, "POST", LineKind::Charge, 1, 1_800),
    ];
    assert_eq!(says.collect::<Vec<_>>(), wanted);

    let [payment] = reader.payments_of(&[id]).await.unwrap().try_into().unwrap();
    assert_eq!((payment.id, payment.order_id), (PaymentId::of(order_id(4)).0, id));
    assert_eq!((payment.status, payment.currency.as_str()), (PaymentStatus::Captured, "GBP"));
    assert_eq!((payment.authorised_minor, payment.captured_minor), (3_075, 3_075));
    let told = (payment.reference.as_deref(), payment.source, payment.expires_at);
    assert_eq!(told, (Some("pay-4"), PaymentSource::Gateway, Some(at(86_400))));
    let [capture] = payment.movements.0.try_into().unwrap();
    assert_eq!(capture.kind, PaymentMovementKind::Capture);
    assert_eq!((capture.state, capture.amount_minor), (PaymentMovementState::Done, Some(3_075)));

    let [shipment] = reader.shipments_of(&[id]).await.unwrap().try_into().unwrap();
    assert_eq!((shipment.id, shipment.order_id), (ShipmentId::of(order_id(4)).0, id));
    assert_eq!((shipment.status, shipment.revision), (ShipmentStatus::Delivered, 3));
    assert_eq!(shipment.location, "main");
    let [parcel] = shipment.parcels.0.try_into().unwrap();
    assert_eq!(parcel.booked.tracking_number.as_str(), "pay-4");
    let news: Vec<_> = parcel.events.iter().map(|news| (news.status, news.at)).collect();
    assert_eq!(news, [(TrackingStatus::Delivered, at(3_600))]);
    assert_eq!((shipment.handed_over_at, shipment.delivered_at), (Some(at(1)), Some(at(3_600))));

    let [process] = reader.processes_of(&[id]).await.unwrap().try_into().unwrap();
    assert_eq!((process.status, process.step), (ProcessStatus::Finished, None));
    assert_eq!(
        (process.outcome, process.payment_deadline),
        (Some(ProcessOutcome::Fulfilled), None)
    );
    assert_eq!(process.next_deadline_at, None);

    let stock = reader.stock_by_skus(&[sku(4).to_string()]).await.unwrap();
    assert_eq!((stock[0].on_hand, stock[0].reserved, stock[0].available), (95, 0, 95));
}

#[tokio::test]
async fn a_parked_process_says_where_and_why() {
    let world = World::open().await;
    let projector = world.projector();
    world.get_stuck(2).await;
    settled(&world, &projector).await;
    let [process] =
        world.reader().processes_of(&[order_id(2).0]).await.unwrap().try_into().unwrap();
    assert_eq!(process.status, ProcessStatus::Parked);
    assert_eq!(process.step.as_deref(), Some("authorise-payment"));
    assert_eq!((process.attempts, process.error.as_deref()), (1, Some("the gateway answered 500")));
    assert_eq!((process.next_attempt_at, process.payment_deadline), (None, Some(at(1_800))));
    assert_eq!(process.next_deadline_at, Some(at(1_800)));
    assert_eq!((process.unwinding, process.outcome), (false, None));
}

#[tokio::test]
async fn a_credit_note_keeps_its_lines() {
    let world = World::open().await;
    let projector = world.projector();
    world.credit(3).await;
    settled(&world, &projector).await;
    let reader = world.reader();
    let id = CreditNoteId(Uuid::from_u128(3)).0;
    let note = reader.credit_note(id).await.unwrap().unwrap();
    assert_eq!((note.number.as_str(), note.channel.as_str()), ("C3", "till"));
    assert_eq!((note.total_minor, note.currency.as_str()), (2_820, "GBP"));
    let lines = reader.credit_lines_of(&[id]).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.sku.as_str()).collect::<Vec<_>>(), ["SKU-03", "POST"]);
}

#[tokio::test]
async fn a_replay_from_nothing_gives_the_same_bytes() {
    let world = World::open().await;
    let projector = world.projector();
    world.trade(0..60).await;
    // One event of each order at a time, against whole streams at once at the replay.
    settled(&world, &projector).await;
    projector.stop().await;
    let live = world.dump().await;
    world.drop_database().await;
    world.create_database().await;
    let projector = world.projector();
    settled(&world, &projector).await;
    assert_eq!(world.dump().await, live);
    assert!(live.len() > 200, "{}", live.len());
}

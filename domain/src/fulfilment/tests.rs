mod asking;
mod turning_round;
mod ways;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::decider::fold;
use crate::ids::{
    CaptureId, LocationCode, MovementId, OrderId, PartnerReference, PaymentId, PaymentToken,
    RefundId, ShipmentId, Sku,
};
use crate::money::{Currency, Money};
use crate::order::{Handling, LineUnits, ShippedBy};
use crate::quantity::Quantity;
use crate::stock::Acceptance;
use crate::testing::run_each_twice;

const ORDER: OrderId = OrderId(uuid::Uuid::from_u128(1));

fn partners() -> Handling {
    Handling::Partners { payment_token: Some(PaymentToken::new("tok_ok").unwrap()) }
}

fn paid_by_hand() -> Handling {
    Handling::Partners { payment_token: None }
}

fn elsewhere() -> Handling {
    Handling::Elsewhere { reference: PartnerReference::new("536365").unwrap() }
}

fn pounds(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn deadline() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(30)
}

fn mug(units: i64) -> Goods {
    Goods { sku: Sku::new("MUG").unwrap(), quantity: Quantity::new(units).unwrap() }
}

fn accept(total: i64, handling: Handling) -> Work {
    Work::Acceptance(AcceptanceWork {
        reservations: vec![mug(1)],
        total: pounds(total),
        handling,
        acceptance: Acceptance::AllOrNothing,
        prefer_location: None,
        payment_deadline: Some(deadline()),
    })
}

fn deliver(by: ShippedBy) -> Work {
    Work::Delivery(DeliveryWork {
        shipment: ShipmentId::of(ORDER),
        location: LocationCode::default(),
        lines: vec![LineUnits { line: 0, quantity: Quantity::ONE }],
        by,
    })
}

fn by_partner() -> ShippedBy {
    ShippedBy::Partner { parcels: 1 }
}

fn pay_again() -> Work {
    Work::Payment {
        payment: PaymentId::derive(ORDER, "again"),
        amount: pounds(499),
        payment_token: PaymentToken::new("tok_ok").unwrap(),
    }
}

/// Work of every kind that has no way back.
fn one_way() -> [(Work, Step); 6] {
    let (payment, movement) = (PaymentId::of(ORDER), MovementId::derive(ORDER, "one"));
    let (capture, refund) = (CaptureId::derive(ORDER, "one"), RefundId::derive(ORDER, "one"));
    let (amount, Goods { sku, quantity }) = (pounds(499), mug(1));
    let (location, stock_revision) = (LocationCode::default(), 3);
    [
        (Work::Capture { capture, payment, amount, is_final: true }, Step::CapturePayment),
        (Work::Void { payment }, Step::VoidPayment),
        (Work::Refund { refund, payment, amount }, Step::RefundPayment),
        (Work::Release { movement, released: vec![] }, Step::GiveBackStock),
        (Work::Restock { movement, received: vec![] }, Step::RestockGoods),
        (Work::Backorder { sku, location, quantity, stock_revision }, Step::RecordBackorder),
    ]
}

fn start(work: Work) -> FulfilmentCommand {
    FulfilmentCommand::Start(FulfilmentStarted { order: Some(ORDER), work })
}

fn done(step: Step) -> FulfilmentCommand {
    FulfilmentCommand::Complete { step }
}

fn refuse(step: Step, refusal: Refusal) -> FulfilmentCommand {
    FulfilmentCommand::Refuse { step, refusal }
}

const CANCEL: FulfilmentCommand =
    FulfilmentCommand::RequestCancellation { reason: CancelReason::Customer };

fn after(commands: impl IntoIterator<Item = FulfilmentCommand>) -> FulfilmentState {
    run_each_twice::<Fulfilment>(commands).1
}

/// The state of `work` when these steps are done.
fn after_steps(work: Work, steps: &[Step]) -> FulfilmentState {
    after([start(work)].into_iter().chain(steps.iter().map(|step| done(*step))))
}

fn then(state: FulfilmentState, command: &FulfilmentCommand) -> FulfilmentState {
    let events = Fulfilment::decide(&state, command).unwrap();
    fold::<Fulfilment>(state, &events)
}

/// Does whatever is due until nothing is, as a driver without bad luck would.
fn drive(mut state: FulfilmentState) -> (Vec<Step>, Outcome) {
    let mut steps = vec![];
    loop {
        match phase(&state) {
            Phase::Due(step) => {
                steps.push(step);
                state = then(state, &done(step));
            }
            Phase::Finished(outcome) => return (steps, outcome),
            stuck @ (Phase::NotStarted | Phase::Waiting { .. } | Phase::Parked(_)) => {
                panic!("stuck in {stuck:?}")
            }
        }
    }
}

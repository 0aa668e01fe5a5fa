//! Folding without a database: continuity, poison, and agreement with the domain's own rules.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Decider;
use domain::fulfilment::{
    AcceptanceWork, DeliveryWork, Fulfilment, FulfilmentCancellationRequested, FulfilmentEvent,
    FulfilmentFinished, FulfilmentStarted, FulfilmentStepCompleted, FulfilmentStepFailed,
    FulfilmentStepParked, FulfilmentStepRefused, FulfilmentStepResumed, Goods, Outcome, Phase,
    Refusal, Step, Work, phase,
};
use domain::ids::{
    LocationCode, OrderId, PartnerReference, PaymentId, PaymentToken, ProcessId, ShipmentId, Sku,
};
use domain::money::{Currency, Money};
use domain::order::{CancelReason, Handling, ShippedBy};
use domain::payment::{PaymentAuthorised, PaymentEvent};
use domain::quantity::Quantity;
use domain::stock::{
    Acceptance, LocatedUnits, StockClosed, StockEvent, StockReceived, StockReserved,
};
use journal::{Position, Recorded};
use schemas::{Metadata, StoredEvent, StreamName};
use uuid::Uuid;

use super::fulfilments::Fulfilments;
use super::payments::Payments;
use super::stock_levels::{Draft as Mugs, StockLevels, StockLocationRow, StockRow};
use crate::code::{ProcessKind, ProcessStatus, StockLevel, StockPolicy};
use crate::fold::{Fold, Taken};
use crate::projection::{Projection, State, Unfoldable};
use crate::quarantine::Exceptions;

fn at(second: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second.try_into().unwrap())
}

pub(super) fn recorded(stream: &StreamName, revision: u64, event: &impl StoredEvent) -> Recorded {
    let encoded = event.encode();
    Recorded {
        stream: stream.clone(),
        revision,
        position: Position { commit: revision + 1, prepare: revision + 1 },
        event_id: Uuid::nil(),
        event_type: encoded.event_type.to_owned(),
        metadata: Metadata {
            command_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            actor: "test".to_owned(),
            schema_version: encoded.version,
            recorded_at: at(revision),
            traceparent: None,
        },
        data: encoded.data,
    }
}

fn received(units: i64) -> StockEvent {
    let (receipt, location) = (domain::ids::ReceiptId(Uuid::nil()), LocationCode::default());
    let quantity = Quantity::new(units).unwrap();
    StockEvent::Received(StockReceived { receipt, location, quantity })
}

fn reserved(units: i64) -> StockEvent {
    let (order, quantity) = (OrderId(Uuid::nil()), Quantity::new(units).unwrap());
    let allocations = vec![LocatedUnits { location: LocationCode::default(), quantity }];
    let reserved = StockReserved { order, allocations, backordered: 0, expires_at: None };
    StockEvent::Reserved(reserved)
}

fn changed<'a, P: Projection>(fold: &'a Fold<'_, P>) -> Vec<&'a P::State> {
    fold.changes().into_iter().map(|change| change.now).collect()
}

fn mugs() -> StreamName {
    "stock-MUG".parse().unwrap()
}

fn mugs_in_table() -> Mugs {
    let stock = StockRow {
        sku: "MUG".to_owned(),
        on_hand: 10,
        reserved: 3,
        available: 7,
        backordered: 0,
        policy: StockPolicy::Deny,
        low_stock_at: None,
        level: StockLevel::Enough,
        updated_at: at(1),
        revision: 1,
        quarantined: false,
    };
    let row = StockLocationRow {
        sku: "MUG".to_owned(),
        location: "main".to_owned(),
        on_hand: 10,
        reserved: 3,
    };
    Mugs { stock, locations: vec![row], movements: vec![] }
}

#[test]
fn an_event_is_folded_once_and_only_after_the_one_before_it() {
    let none = Exceptions::default();
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &none);
    assert_eq!(fold.take(&recorded(&mugs(), 1, &received(5))), Taken::Done);
    assert_eq!(fold.take(&recorded(&mugs(), 4, &received(5))), Taken::Gap { from: 2 });
    assert!(fold.changes().is_empty());
    assert_eq!(fold.take(&recorded(&mugs(), 2, &received(5))), Taken::Done);
    assert_eq!(fold.take(&recorded(&mugs(), 2, &received(5))), Taken::Done);
    assert_eq!(fold.take(&recorded(&mugs(), 3, &reserved(2))), Taken::Done);

    let [mugs] = changed(&fold).try_into().unwrap();
    let row = &mugs.stock;
    assert_eq!((row.on_hand, row.reserved, row.revision, row.updated_at), (15, 5, 3, at(3)));
    let (poisoned, tally) = fold.finish();
    assert!(poisoned.is_empty());
    assert_eq!((tally.applied, tally.duplicates), (2, 2));
}

#[test]
fn closing_an_order_moves_the_row_on_and_no_units() {
    let none = Exceptions::default();
    let closed = StockEvent::Closed(StockClosed { order: OrderId(Uuid::nil()) });
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &none);
    assert_eq!(fold.take(&recorded(&mugs(), 2, &closed)), Taken::Done);

    let [mugs] = changed(&fold).try_into().unwrap();
    let before = mugs_in_table();
    let stock = StockRow { revision: 2, updated_at: at(2), ..before.stock };
    assert_eq!(mugs, &Mugs { stock, ..before });
    assert!(fold.poisoned().is_empty());
}

#[test]
fn a_stream_without_a_row_begins_with_its_first_event() {
    let none = Exceptions::default();
    let mut fold = Fold::<StockLevels>::new(vec![], &none);
    assert_eq!(fold.take(&recorded(&mugs(), 2, &received(5))), Taken::Gap { from: 0 });
    assert_eq!(fold.take(&recorded(&mugs(), 0, &received(5))), Taken::Done);
    assert_eq!(changed(&fold)[0].stock.revision, 0);
}

#[test]
fn after_a_poisoned_event_its_stream_waits_and_others_go_on() {
    let none = Exceptions::default();
    let cups: StreamName = "stock-CUP".parse().unwrap();
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &none);
    let mut poison = recorded(&mugs(), 2, &received(5));
    poison.metadata.schema_version = 99;
    for event in [poison, recorded(&mugs(), 3, &received(5)), recorded(&cups, 0, &received(7))] {
        assert_eq!(fold.take(&event), Taken::Done);
    }
    let [mug, cup] = changed(&fold).try_into().unwrap();
    let (mug, cup) = (&mug.stock, &cup.stock);
    assert_eq!((mug.on_hand, mug.revision, mug.quarantined), (10, 1, true));
    assert_eq!((cup.on_hand, cup.revision, cup.quarantined), (7, 0, false));
    let (poisoned, tally) = fold.finish();
    assert_eq!((poisoned[0].stream.as_str(), poisoned[0].revision), ("stock-MUG", 2));
    assert!(matches!(poisoned[0].error, Unfoldable::Undecodable(_)));
    assert_eq!((tally.applied, tally.quarantined), (1, 1));
}

#[test]
fn events_of_a_quarantined_stream_are_left_alone() {
    let quarantine = Exceptions { quarantined: HashSet::from([mugs()]), ..Exceptions::default() };
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &quarantine);
    assert_eq!(fold.take(&recorded(&mugs(), 7, &received(5))), Taken::Done);
    assert!(fold.changes().is_empty() && fold.poisoned().is_empty());
}

#[test]
fn a_row_that_is_refused_goes_back_to_what_is_in_the_table() {
    let none = Exceptions::default();
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &none);
    fold.take(&recorded(&mugs(), 2, &received(5)));
    let stream = fold.take_back(&"MUG".to_owned());
    assert_eq!(stream, Some(mugs()));
    assert!(fold.changes().is_empty() && fold.poisoned().is_empty());
}

fn without(revisions: impl IntoIterator<Item = u64>) -> Exceptions {
    let skipped = revisions.into_iter().map(|revision| (mugs(), revision)).collect();
    Exceptions::only(Arc::new(skipped))
}

#[test]
fn an_event_that_is_skipped_moves_the_revision_and_nothing_else() {
    let exceptions = without([2]);
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &exceptions);
    let mut poison = recorded(&mugs(), 2, &received(5));
    poison.metadata.schema_version = 99;
    for event in [poison, recorded(&mugs(), 3, &received(2))] {
        assert_eq!(fold.take(&event), Taken::Done);
    }
    let [mug] = changed(&fold).try_into().unwrap();
    assert_eq!((mug.stock.on_hand, mug.stock.revision, mug.movements.len()), (12, 3, 1));
    assert!(fold.poisoned().is_empty());
}

#[test]
fn an_event_that_is_skipped_need_not_come() {
    let exceptions = without([2, 3]);
    let mut fold = Fold::<StockLevels>::new(vec![mugs_in_table()], &exceptions);
    assert_eq!(fold.take(&recorded(&mugs(), 5, &received(5))), Taken::Gap { from: 4 });
    assert_eq!(fold.take(&recorded(&mugs(), 4, &received(5))), Taken::Done);
    let [mug] = changed(&fold).try_into().unwrap();
    assert_eq!((mug.stock.on_hand, mug.stock.revision), (15, 4));
}

#[test]
fn a_stream_whose_first_events_are_skipped_begins_after_them() {
    let exceptions = without([0, 1]);
    let mut fold = Fold::<StockLevels>::new(vec![], &exceptions);
    assert_eq!(fold.take(&recorded(&mugs(), 3, &received(7))), Taken::Gap { from: 2 });
    for revision in 0..3 {
        assert_eq!(fold.take(&recorded(&mugs(), revision, &received(7))), Taken::Done);
    }
    let [mug] = changed(&fold).try_into().unwrap();
    assert_eq!((mug.stock.on_hand, mug.stock.revision), (7, 2));
}

#[test]
fn two_spellings_of_one_id_do_not_share_a_row() {
    let none = Exceptions::default();
    let mut fold = Fold::<Payments>::new(vec![], &none);
    let id = Uuid::from_u128(0xabc);
    let event = PaymentEvent::Authorised(authorised());
    for name in [format!("payment-{id}"), format!("payment-{id:X}"), "payment-7".to_owned()] {
        fold.take(&recorded(&name.parse().unwrap(), 0, &event));
    }
    assert_eq!(fold.changes().len(), 1);
    assert_eq!(fold.poisoned().len(), 2);
}

fn authorised() -> PaymentAuthorised {
    let reference = PartnerReference::new("pay-1").unwrap();
    let (order, amount) = (OrderId(Uuid::nil()), gbp(100));
    PaymentAuthorised { order, amount, reference, expires_at: None }
}

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

/// Folds without a batch.
pub(super) fn folded<P: Projection>(
    id: &<P::Source as schemas::Aggregate>::Id,
    events: &[crate::projection::EventOf<P>],
) -> Option<P::State> {
    let stream = schemas::stream_of::<P::Source>(id);
    let mut row: Option<P::State> = None;
    for (revision, event) in (0..).zip(events) {
        let recorded = recorded(&stream, revision, event);
        match &mut row {
            Some(row) => P::evolve(row, event, &recorded).unwrap(),
            none => *none = Some(P::begin(id, event, &recorded).unwrap()),
        }
    }
    row
}

fn secret() -> PaymentToken {
    PaymentToken::new("tok_secret").unwrap()
}

fn begun(work: Work) -> FulfilmentEvent {
    FulfilmentEvent::Started(FulfilmentStarted { order: Some(OrderId(Uuid::from_u128(7))), work })
}

fn started() -> FulfilmentEvent {
    let quantity = Quantity::new(2).unwrap();
    begun(Work::Acceptance(AcceptanceWork {
        reservations: vec![Goods { sku: Sku::new("MUG").unwrap(), quantity }],
        total: gbp(1_000),
        handling: Handling::Partners { payment_token: Some(secret()) },
        acceptance: Acceptance::AllOrNothing,
        prefer_location: None,
        payment_deadline: Some(at(900)),
    }))
}

fn delivery() -> FulfilmentEvent {
    begun(Work::Delivery(DeliveryWork {
        shipment: ShipmentId(Uuid::nil()),
        location: LocationCode::default(),
        lines: vec![],
        by: ShippedBy::Partner { parcels: 1 },
    }))
}

/// Ways a process can go, each with the events of its life.
fn lives() -> Vec<Vec<FulfilmentEvent>> {
    let done = |step| FulfilmentEvent::StepCompleted(FulfilmentStepCompleted { step });
    let failed = |step, attempt| {
        let error = format!("no answer {attempt}");
        FulfilmentEvent::StepFailed(FulfilmentStepFailed { step, attempt, error, retry_at: at(60) })
    };
    let parked = |step| {
        FulfilmentEvent::StepParked(FulfilmentStepParked { step, error: "no answer".to_owned() })
    };
    let finished = |outcome| FulfilmentEvent::Finished(FulfilmentFinished { outcome });
    let cancelled = FulfilmentEvent::CancellationRequested(FulfilmentCancellationRequested {
        reason: CancelReason::Customer,
    });
    let refused =
        |step, refusal| FulfilmentEvent::StepRefused(FulfilmentStepRefused { step, refusal });
    let pay = Step::AuthorisePayment;
    let unknown = Refusal::UnknownSku { sku: Sku::new("MUG").unwrap() };
    vec![
        vec![
            started(),
            done(Step::ReserveStock),
            done(pay),
            done(Step::CommitStock),
            done(Step::ConfirmOrder),
            done(Step::WatchAuthorisation),
            finished(Outcome::Fulfilled),
        ],
        vec![
            delivery(),
            done(Step::BookShipment),
            refused(Step::DispatchOrder, Refusal::ShipmentCancelled),
            failed(Step::CancelBooking, 1),
            done(Step::CancelBooking),
            finished(Outcome::Cancelled),
        ],
        vec![
            started(),
            done(Step::ReserveStock),
            failed(pay, 1),
            failed(pay, 2),
            parked(pay),
            FulfilmentEvent::StepResumed(FulfilmentStepResumed { step: pay }),
            refused(pay, Refusal::PaymentDeclined),
            done(Step::ReleaseStock),
            done(Step::CloseOrder),
            finished(Outcome::Cancelled),
        ],
        vec![
            started(),
            refused(Step::ReserveStock, unknown),
            failed(Step::ReleaseStock, 1),
            done(Step::ReleaseStock),
            done(Step::CloseOrder),
            finished(Outcome::Rejected),
        ],
        vec![
            started(),
            done(Step::ReserveStock),
            failed(pay, 1),
            cancelled,
            done(pay),
            done(Step::VoidPayment),
            done(Step::ReleaseStock),
            done(Step::CloseOrder),
            finished(Outcome::Cancelled),
            done(pay),
        ],
    ]
}

#[test]
fn a_process_row_says_what_the_domain_says_is_due() {
    let id = ProcessId(Uuid::nil());
    for events in lives() {
        for length in 1..=events.len() {
            let past = &events[..length];
            let row = folded::<Fulfilments>(&id, past).unwrap().process;
            let state = domain::fold::<Fulfilment>(Fulfilment::initial(), past);
            let (status, step) = match phase(&state) {
                Phase::NotStarted => panic!("it has begun"),
                Phase::Due(step) => (ProcessStatus::Running, Some(step)),
                Phase::Waiting { step, until } => {
                    assert_eq!(row.next_attempt_at, Some(until));
                    (ProcessStatus::Waiting, Some(step))
                }
                Phase::Parked(step) => (ProcessStatus::Parked, Some(step)),
                Phase::Finished(_) => (ProcessStatus::Finished, None),
            };
            assert_eq!((row.status, row.step.as_deref()), (status, step.map(Step::name)));
            assert_eq!(row.outcome.is_some(), status == ProcessStatus::Finished);
            assert_eq!(row.error.is_some(), row.attempts > 0, "{row:?}");
        }
    }
}

#[test]
fn a_process_row_says_what_is_done_for_which_order() {
    let id = ProcessId(Uuid::nil());
    let row = |event| folded::<Fulfilments>(&id, &[event]).unwrap().process;
    let row = row(delivery());
    assert_eq!((row.id, row.order_id), (id.0, Uuid::from_u128(7)));
    assert_eq!((row.kind, row.step.as_deref()), (ProcessKind::Delivery, Some("book-shipment")));
}

#[test]
fn a_process_of_the_first_days_works_for_the_order_with_its_id() {
    let FulfilmentEvent::Started(first) = started() else { unreachable!() };
    let first = FulfilmentEvent::Started(FulfilmentStarted { order: None, ..first });
    let id = ProcessId(Uuid::from_u128(3));
    assert_eq!(folded::<Fulfilments>(&id, &[first]).unwrap().process.order_id, id.0);
}

#[test]
fn what_can_charge_a_customer_does_not_get_into_a_table() {
    let again = begun(Work::Payment {
        payment: PaymentId(Uuid::nil()),
        amount: gbp(500),
        payment_token: secret(),
    });
    for event in [started(), again] {
        let draft = folded::<Fulfilments>(&ProcessId(Uuid::nil()), &[event]).unwrap();
        assert!(!format!("{draft:?}").contains("tok_secret"));
    }
}

#[test]
fn a_draft_keeps_its_bookkeeping_in_its_row() {
    let mut draft = folded::<Fulfilments>(&ProcessId(Uuid::nil()), &[started()]).unwrap();
    *draft.head().revision = 4;
    *draft.head().quarantined = true;
    assert_eq!((draft.revision(), draft.process.quarantined), (4, true));
}

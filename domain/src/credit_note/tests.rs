use super::*;
use crate::money::Currency;
use crate::testing::given;

fn note(total: i64) -> CreditNoteCommand {
    let line = CreditLine {
        sku: Sku::new("MUG").unwrap(),
        title: "Mug".into(),
        kind: LineKind::Goods,
        quantity: Quantity::new(2).unwrap(),
        unit_price: Money::new(499, Currency::GBP),
    };
    CreditNoteCommand::Issue {
        details: Arc::new(CreditNoteDetails {
            number: PartnerReference::new("C536379").unwrap(),
            channel: Channel::new("web").unwrap(),
            customer: None,
            lines: vec![line],
            total: Money::new(total, Currency::GBP),
            issued_at: DateTime::UNIX_EPOCH,
        }),
    }
}

fn issued(total: i64) -> CreditNoteEvent {
    let CreditNoteCommand::Issue { details } = note(total);
    CreditNoteEvent::Issued(CreditNoteIssued { details })
}

#[test]
fn a_note_that_adds_up_is_issued_once() {
    given::<CreditNote>([]).when(note(998)).then([issued(998)]);
    given::<CreditNote>([issued(998)]).when(note(998)).then_nothing();
}

#[test]
fn a_note_must_add_up() {
    let (declared, computed) = (Money::new(1, Currency::GBP), Money::new(998, Currency::GBP));
    given::<CreditNote>([])
        .when(note(1))
        .then_rejected(CreditNoteRejection::TotalMismatch { declared, computed });
}

#[test]
fn another_note_under_the_same_id_is_a_conflict() {
    given::<CreditNote>([issued(998)])
        .when(note(1))
        .then_rejected(CreditNoteRejection::IdempotencyConflict);
}

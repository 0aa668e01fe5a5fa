use chrono::TimeDelta;

use super::*;

const NOON: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
const SOON: DateTime<Utc> = DateTime::from_timestamp(1_700_000_060, 0).unwrap();

fn request(amount: i64) -> PaymentRequest {
    PaymentRequest {
        order: "order-1".into(),
        amount,
        currency: "EUR".into(),
        token: "tok_ok".into(),
    }
}

fn part(key: &str, amount: i64) -> Part {
    Part { key: key.into(), amount, is_final: false }
}

fn accept() -> Verdict {
    Verdict::Accept { reference: "ref".into(), from: None, until: None }
}

fn decided(mut account: Account, decision: Decision) -> Account {
    if let Some(entry) = decision.unwrap() {
        account.apply(entry);
    }
    account
}

fn authorised_as(amount: i64, verdict: Verdict) -> Account {
    let decision = Account::default().authorise(&request(amount), verdict);
    decided(Account::default(), decision)
}

fn authorised(amount: i64) -> Account {
    authorised_as(amount, accept())
}

fn capture(account: &Account, key: &str, amount: i64) -> Decision {
    account.capture(&part(key, amount), Answer::Now, NOON)
}

fn refund(account: &Account, key: &str, amount: i64) -> Decision {
    account.refund(&part(key, amount), Answer::Now, NOON)
}

fn captured(authorised_amount: i64, amount: i64) -> Account {
    let account = authorised(authorised_amount);
    let decision = capture(&account, "c", amount);
    decided(account, decision)
}

fn voided(account: Account) -> Account {
    let decision = Ok(account.void(NOON));
    decided(account, decision)
}

#[test]
fn the_same_request_is_authorised_once() {
    let account = authorised(100);
    assert_eq!(account.authorise(&request(100), accept()), Ok(None));
    assert_eq!((account.authorised(NOON), account.authorisations(NOON)), (100, 1));
}

#[test]
fn another_request_under_the_same_key_is_a_conflict() {
    let conflict = Err(Refusal::IdempotencyConflict);
    assert_eq!(authorised(100).authorise(&request(101), accept()), conflict);
}

#[test]
fn a_declined_payment_stays_declined() {
    let account = authorised_as(100, Verdict::Decline);
    assert_eq!(account.authorise(&request(100), accept()), Ok(None));
    assert_eq!((account.status(NOON), account.authorised(NOON)), ("declined", 0));
    assert_eq!(capture(&account, "c", 1), Err(Refusal::NotAuthorised));
    assert_eq!(account.void(NOON), None);
}

#[test]
fn a_pending_authorisation_holds_nothing_until_its_time_has_come() {
    let verdict = Verdict::Accept { reference: "ref".into(), from: Some(SOON), until: None };
    let account = authorised_as(100, verdict);
    assert_eq!((account.status(NOON), account.authorised(NOON)), ("pending", 0));
    assert_eq!(capture(&account, "c", 1), Err(Refusal::NotAuthorised));
    assert_eq!((account.status(SOON), account.authorised(SOON)), ("authorised", 100));
    assert_eq!((account.authorisations(NOON), account.authorisations(SOON)), (0, 1));
}

#[test]
fn a_void_of_a_pending_authorisation_closes_the_key() {
    let verdict = Verdict::Accept { reference: "ref".into(), from: Some(SOON), until: None };
    let account = voided(authorised_as(100, verdict));
    assert_eq!((account.status(SOON), account.authorised(SOON)), ("closed", 0));
    assert_eq!(account.authorisations(SOON), 0);
}

#[test]
fn after_its_time_an_authorisation_holds_nothing_and_what_was_captured_stays() {
    let verdict = Verdict::Accept { reference: "ref".into(), from: None, until: Some(SOON) };
    let account = authorised_as(100, verdict);
    let decision = capture(&account, "c", 60);
    let account = decided(account, decision);
    assert_eq!((account.status(NOON), account.expired(NOON)), ("authorised", 0));
    assert_eq!((account.status(SOON), account.expired(SOON)), ("captured", 40));
    let late = account.capture(&part("d", 1), Answer::Now, SOON);
    assert_eq!(late, Err(Refusal::AuthorisationExpired));
    assert_eq!(account.capture(&part("c", 60), Answer::Now, SOON), Ok(None));
    assert_eq!(account.void(SOON), None);
}

#[test]
fn captures_never_exceed_the_authorisation() {
    let account = captured(100, 60);
    let too_much = Err(Refusal::AmountTooLarge { asked: 41, left: 40 });
    assert_eq!(capture(&account, "d", 41), too_much);
    assert!(matches!(capture(&account, "d", 40), Ok(Some(_))));
}

#[test]
fn a_capture_key_moves_money_once() {
    let account = captured(100, 30);
    assert_eq!(capture(&account, "c", 30), Ok(None));
    assert_eq!(capture(&account, "c", 31), Err(Refusal::IdempotencyConflict));
}

#[test]
fn a_repeated_capture_is_recognised_even_when_nothing_is_left() {
    assert_eq!(capture(&captured(100, 100), "c", 100), Ok(None));
}

#[test]
fn a_final_capture_releases_the_rest() {
    let account = authorised(100);
    let last = Part { is_final: true, ..part("c", 60) };
    let decision = account.capture(&last, Answer::Now, NOON);
    let account = decided(account, decision);
    assert_eq!((account.captured(NOON), account.voided), (60, 40));
    let nothing_left = Err(Refusal::AmountTooLarge { asked: 1, left: 0 });
    assert_eq!(capture(&account, "d", 1), nothing_left);
}

#[test]
fn what_is_pending_counts_as_moved() {
    let account = authorised(100);
    let decision = account.capture(&part("c", 60), Answer::From(SOON), NOON);
    let account = decided(account, decision);
    assert_eq!((account.captured(NOON), account.captures.pending(NOON)), (0, 60));
    let too_much = Err(Refusal::AmountTooLarge { asked: 41, left: 40 });
    assert_eq!(capture(&account, "d", 41), too_much);
    assert_eq!((account.captured(SOON), account.captures.pending(SOON)), (60, 0));

    let decision = account.refund(&part("r", 50), Answer::From(SOON + TimeDelta::hours(1)), SOON);
    let account = decided(account, decision);
    let too_much = Err(Refusal::AmountTooLarge { asked: 11, left: 10 });
    assert_eq!(account.refund(&part("s", 11), Answer::Now, SOON), too_much);
}

#[test]
fn what_the_bank_refuses_moves_nothing() {
    let no = Answer::Never(Refusal::CaptureDeclined);
    let refused = authorised(100).capture(&part("c", 60), no, NOON);
    assert_eq!(refused, Err(Refusal::CaptureDeclined));
    let no = Answer::Never(Refusal::RefundRefused);
    let refused = captured(100, 60).refund(&part("r", 60), no, NOON);
    assert_eq!(refused, Err(Refusal::RefundRefused));
}

#[test]
fn refunds_never_exceed_the_captures() {
    let account = captured(100, 60);
    let decision = refund(&account, "r", 50);
    let account = decided(account, decision);
    assert_eq!(refund(&account, "r", 50), Ok(None));
    let too_much = Err(Refusal::AmountTooLarge { asked: 11, left: 10 });
    assert_eq!(refund(&account, "s", 11), too_much);
}

#[test]
fn what_was_charged_back_is_not_refunded_as_well() {
    let account = captured(100, 60);
    let decision = account.charge_back(&part("b", 50), NOON);
    let account = decided(account, decision);
    assert_eq!(account.charged_back(), 50);
    assert_eq!(account.charge_back(&part("b", 50), NOON), Ok(None));
    let too_much = Err(Refusal::AmountTooLarge { asked: 11, left: 10 });
    assert_eq!(account.charge_back(&part("c", 11), NOON), too_much);
    assert_eq!(refund(&account, "r", 11), Err(Refusal::ChargedBack));
    assert!(matches!(refund(&account, "r", 10), Ok(Some(_))));
}

#[test]
fn a_void_releases_only_what_is_not_captured() {
    let account = voided(captured(100, 60));
    assert_eq!(
        (account.captured(NOON), account.voided, account.status(NOON)),
        (60, 40, "captured")
    );
    assert_eq!(account.void(NOON), None);
    let nothing_left = Err(Refusal::AmountTooLarge { asked: 1, left: 0 });
    assert_eq!(capture(&account, "d", 1), nothing_left);
    assert_eq!(voided(authorised(100)).status(NOON), "voided");
}

#[test]
fn a_void_before_the_authorisation_closes_the_key() {
    let account = voided(Account::default());
    assert_eq!(account.status(NOON), "closed");
    assert_eq!(account.authorise(&request(100), accept()), Err(Refusal::KeyClosed));
    assert_eq!(account.void(NOON), None);
    assert_eq!(capture(&account, "c", 1), Err(Refusal::NotAuthorised));
}

#[test]
fn nothing_moves_on_an_unknown_payment() {
    let unknown = Err(Refusal::UnknownPayment);
    assert_eq!(capture(&Account::default(), "c", 1), unknown);
    assert_eq!(refund(&Account::default(), "r", 1), unknown);
    assert_eq!(Account::default().charge_back(&part("b", 1), NOON), unknown);
}

#[test]
fn only_positive_amounts_of_a_currency_are_asked_for() {
    assert_eq!(request(1).check(), Ok(()));
    assert!(request(0).check().is_err());
    assert!(request(-1).check().is_err());
    assert!(PaymentRequest { currency: "eur".into(), ..request(1) }.check().is_err());
    assert!(PaymentRequest { order: String::new(), ..request(1) }.check().is_err());
    assert!(part("c", 0).check().is_err());
    assert!(part("", 1).check().is_err());
}

#[test]
fn entries_of_the_first_days_still_read() {
    let old = r#"{"captured":{"key":"c","amount":60}}"#;
    let entry = PaymentEntry::Captured { key: "c".into(), amount: 60, done_at: None, released: 0 };
    assert_eq!(serde_json::from_str::<PaymentEntry>(old).unwrap(), entry);
    assert_eq!(serde_json::to_string(&entry).unwrap(), old);
    let old = r#"{"authorised":{"request":{"order":"order-1","amount":100,"currency":"EUR",
        "token":"tok_ok"},"reference":"ref"}}"#;
    let mut account = Account::default();
    account.apply(serde_json::from_str(old).unwrap());
    assert_eq!(account, authorised(100));
}

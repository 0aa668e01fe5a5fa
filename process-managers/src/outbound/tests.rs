//! The clients against the simulated partners, over real HTTP.

use std::time::Duration;

use domain::ids::{CaptureId, CountryCode, OrderId, PaymentId, PaymentToken, RefundId, ShipmentId};
use domain::money::{Currency, Money};
use domain::personal::PostalAddress;
use domain::shipment::TrackingStatus;
use partner_simulator::{Options, Simulator};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::payment::Release;
use super::*;

const ORDER: OrderId = OrderId(Uuid::from_u128(1));

struct Partners {
    simulator: Simulator,
    gateway: PaymentGateway,
    carrier: Carrier,
}

impl Partners {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    async fn open_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            payment_delay: Duration::ZERO,
            carrier_transit: Duration::ZERO,
            ..Options::default()
        };
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = partner_simulator::serve(listener, options).unwrap();
        let (url, timeout) = (simulator.base_url(), Duration::from_secs(10));
        let gateway = PaymentGateway::new(&url, timeout).unwrap();
        let carrier = Carrier::new(&url, timeout).unwrap();
        Self { simulator, gateway, carrier }
    }

    async fn authorise(&self, payment: PaymentId, token: &str) -> Authorisation {
        let token = PaymentToken::new(token).unwrap();
        self.gateway.authorise(payment, ORDER, euro(10_000), &token).await.unwrap()
    }

    async fn capture(&self, payment: PaymentId, id: u128, minor: i64) -> Movement {
        let capture = CaptureId(Uuid::from_u128(id));
        self.gateway.capture(payment, ORDER, capture, euro(minor), false).await.unwrap()
    }

    async fn refund(&self, payment: PaymentId, minor: i64) -> Movement {
        let refund = RefundId(Uuid::from_u128(9));
        self.gateway.refund(payment, ORDER, refund, euro(minor)).await.unwrap()
    }

    /// What a partner has under `path`.
    async fn see(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.simulator.base_url());
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    /// All payments, as the gateway has them.
    async fn payments(&self) -> Vec<Value> {
        self.see("/payments").await["payments"].as_array().unwrap().clone()
    }
}

fn euro(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn first() -> PaymentId {
    PaymentId::of(ORDER)
}

fn second() -> PaymentId {
    PaymentId::derive(ORDER, "again")
}

async fn until<T: PartialEq>(unwanted: T, ask: impl AsyncFn() -> T) -> T {
    for _ in 0..3_000 {
        let answer = ask().await;
        if answer != unwanted {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still pending after 30 seconds");
}

#[tokio::test]
async fn the_first_payment_keeps_the_key_it_had_when_it_was_the_only_one() {
    let partners = Partners::open().await;
    partners.authorise(first(), "tok_ok").await;
    let payment = partners.see("/payments/84f6b117-9651-575a-9ea2-74d287ab2668").await;
    assert_eq!(payment["authorisations"], 1, "{payment}");
}

#[tokio::test]
async fn an_order_has_several_payments_and_none_is_made_twice() {
    let partners = Partners::open().await;
    for _ in 0..2 {
        let first = partners.authorise(first(), "tok_ok").await;
        assert!(
            matches!(first, Authorisation::Authorised { expires_at: Some(_), .. }),
            "{first:?}"
        );
        assert_ne!(partners.authorise(second(), "tok_ok").await, first);
    }
    let authorisations: Vec<_> =
        partners.payments().await.iter().map(|payment| payment["authorisations"].clone()).collect();
    assert_eq!(authorisations, [json!(1), json!(1)]);
}

#[tokio::test]
async fn an_authorisation_is_pending_until_it_is_given() {
    let partners = Partners::open().await;
    assert_eq!(partners.authorise(first(), "tok_pending").await, Authorisation::Pending);
    assert_eq!(partners.gateway.fetch(first(), ORDER).await.unwrap(), Some(Authorisation::Pending));
    let given =
        until(Authorisation::Pending, async || partners.authorise(first(), "tok_pending").await);
    assert!(matches!(given.await, Authorisation::Authorised { .. }));
}

#[tokio::test]
async fn a_declined_card_is_declined() {
    let partners = Partners::open().await;
    let declined = Authorisation::Declined { code: "card_declined".to_owned() };
    assert_eq!(partners.authorise(first(), "tok_declined").await, declined);
    assert_eq!(partners.gateway.fetch(first(), ORDER).await.unwrap(), Some(declined));
    assert_eq!(partners.gateway.fetch(second(), ORDER).await.unwrap(), None);
}

#[tokio::test]
async fn captures_and_refunds_are_made_once_each() {
    let partners = Partners::open().await;
    partners.authorise(first(), "tok_ok").await;
    for _ in 0..2 {
        assert_eq!(partners.capture(first(), 1, 6_000).await, Movement::Done);
        assert_eq!(partners.capture(first(), 2, 3_000).await, Movement::Done);
        assert_eq!(partners.refund(first(), 500).await, Movement::Done);
    }
    let [payment] = partners.payments().await.try_into().unwrap();
    assert_eq!((&payment["captured"], &payment["refunded"]), (&json!(9_000), &json!(500)));
}

#[tokio::test]
async fn a_final_capture_lets_go_of_the_rest() {
    let partners = Partners::open().await;
    partners.authorise(first(), "tok_ok").await;
    let capture = CaptureId(Uuid::from_u128(1));
    let done = partners.gateway.capture(first(), ORDER, capture, euro(6_000), true).await;
    assert_eq!(done, Ok(Movement::Done));
    let [payment] = partners.payments().await.try_into().unwrap();
    assert_eq!((&payment["captured"], &payment["voided"]), (&json!(6_000), &json!(4_000)));
}

#[tokio::test]
async fn what_is_pending_is_done_when_it_is_asked_for_again_later() {
    let partners = Partners::open().await;
    partners.authorise(first(), "tok_capture_pending").await;
    assert_eq!(partners.capture(first(), 1, 10_000).await, Movement::Pending);
    let captured = until(Movement::Pending, async || partners.capture(first(), 1, 10_000).await);
    assert_eq!(captured.await, Movement::Done);

    partners.authorise(second(), "tok_refund_pending").await;
    partners.capture(second(), 2, 10_000).await;
    assert_eq!(partners.refund(second(), 10_000).await, Movement::Pending);
    let refunded = until(Movement::Pending, async || partners.refund(second(), 10_000).await);
    assert_eq!(refunded.await, Movement::Done);
}

#[tokio::test]
async fn what_will_never_move_is_refused_with_the_gateways_code() {
    let partners = Partners::open_with(|options| options.expiry = Duration::ZERO).await;
    let refused = |code: &str| Movement::Refused { code: code.to_owned() };
    partners.authorise(first(), "tok_capture_fails").await;
    assert_eq!(partners.capture(first(), 1, 1).await, refused("capture_declined"));

    partners.authorise(second(), "tok_refund_fails").await;
    partners.capture(second(), 1, 100).await;
    assert_eq!(partners.refund(second(), 1).await, refused("refund_refused"));

    let third = PaymentId::derive(ORDER, "third");
    let held = partners.authorise(third, "tok_expiring").await;
    assert!(matches!(held, Authorisation::Authorised { expires_at: Some(_), .. }), "{held:?}");
    assert_eq!(partners.capture(third, 1, 1).await, refused("authorisation_expired"));
}

#[tokio::test]
async fn what_contradicts_the_gateways_books_is_an_error_and_no_refusal() {
    let partners = Partners::open().await;
    partners.authorise(first(), "tok_ok").await;
    let refund = RefundId(Uuid::from_u128(9));
    let error = partners.gateway.refund(first(), ORDER, refund, euro(1)).await.unwrap_err();
    assert!(matches!(error, PartnerError::Refused { status: 422, .. }), "{error}");
}

#[tokio::test]
async fn a_void_lets_go_of_whatever_is_held_and_says_what_there_was() {
    let partners = Partners::open().await;
    let nothing = partners.gateway.void(second(), ORDER).await.unwrap();
    assert_eq!(nothing, Release { reference: None, pending: false });
    let Authorisation::Authorised { reference, .. } = partners.authorise(first(), "tok_ok").await
    else {
        panic!("it is a good card")
    };
    for _ in 0..2 {
        let released = partners.gateway.void(first(), ORDER).await.unwrap();
        assert_eq!(released.reference.as_ref(), Some(&reference));
    }
}

fn address() -> PostalAddress {
    PostalAddress {
        name: "Ada Lovelace".to_owned(),
        company: None,
        lines: vec!["12 St James's Square".to_owned()],
        city: "London".to_owned(),
        postal_code: Some("SW1Y 4JH".to_owned()),
        region: None,
        country: britain(),
    }
}

fn britain() -> CountryCode {
    CountryCode::new("GB").unwrap()
}

#[tokio::test]
async fn every_parcel_is_booked_once_with_a_tracking_number_of_its_own() {
    let partners = Partners::open().await;
    let (shipment, carrier) = (ShipmentId::derive(ORDER, "1"), &partners.carrier);
    let to = address();
    let booked = carrier.book(shipment, ORDER, Some(&to), &britain(), 3).await.unwrap();
    let again = carrier.book(shipment, ORDER, Some(&to), &britain(), 3).await.unwrap();
    assert_eq!(again, booked);
    let numbers: std::collections::BTreeSet<_> =
        booked.iter().map(|parcel| parcel.tracking_number.as_str()).collect();
    assert_eq!((booked.len(), numbers.len()), (3, 3));
    for parcel in &booked {
        assert_eq!(parcel.carrier, "simulator");
        assert!(parcel.tracking_url.as_deref().is_some_and(|url| url.starts_with("https://")));
    }
}

#[tokio::test]
async fn a_shipment_is_followed_until_all_of_it_is_delivered() {
    let partners = Partners::open().await;
    let (shipment, carrier) = (ShipmentId::derive(ORDER, "1"), &partners.carrier);
    carrier.book(shipment, ORDER, None, &britain(), 2).await.unwrap();
    let before = carrier.track(shipment, ORDER).await.unwrap();
    assert_eq!((before.parcels.len(), before.delivered_at), (2, None));
    assert_eq!(before.parcels[0][0].status, TrackingStatus::LabelPrinted);

    carrier.hand_over(shipment, ORDER).await.unwrap();
    let after = carrier.track(shipment, ORDER).await.unwrap();
    for parcel in &after.parcels {
        let last = parcel.last().unwrap();
        assert_eq!((last.status, Some(last.at)), (TrackingStatus::Delivered, after.delivered_at));
    }
    let error = carrier.cancel(shipment, ORDER).await.unwrap_err();
    assert!(matches!(error, PartnerError::Refused { status: 409, .. }), "{error}");
}

#[tokio::test]
async fn a_shipment_of_the_first_days_is_found_under_the_key_it_was_booked_with() {
    let partners = Partners::open().await;
    let key = "4d032f03-9b12-5005-a7f1-077cd6e935a4";
    let url = format!("{}/shipments/{key}", partners.simulator.base_url());
    let body = json!({ "order": ORDER, "destination_country": "GB" });
    let booked: Value =
        reqwest::Client::new().put(url).json(&body).send().await.unwrap().json().await.unwrap();

    let (shipment, carrier) = (ShipmentId::of(ORDER), &partners.carrier);
    let again = carrier.book(shipment, ORDER, None, &britain(), 1).await.unwrap();
    assert_eq!(again[0].tracking_number.as_str(), booked["tracking_number"]);
    carrier.cancel(shipment, ORDER).await.unwrap();
}

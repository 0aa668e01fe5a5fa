use domain::ids::{OrderId, PartnerReference, PaymentId};
use domain::money::{Currency, Money};
use domain::payment::{Payment, PaymentAuthorised, PaymentChargedBack, PaymentEvent};
use schemas::{StreamName, stream_of};
use uuid::Uuid;

use super::*;
use crate::story::Story;

fn payment() -> StreamName {
    stream_of::<Payment>(&PaymentId(Uuid::from_u128(1)))
}

fn authorised() -> PaymentEvent {
    PaymentEvent::Authorised(PaymentAuthorised {
        order: OrderId(Uuid::from_u128(7)),
        amount: Money::new(5_000, Currency::GBP),
        reference: PartnerReference::new("pay-1").unwrap(),
        expires_at: None,
    })
}

fn charged_back(minor: i64, reason: &str) -> PaymentEvent {
    PaymentEvent::ChargedBack(PaymentChargedBack {
        reference: PartnerReference::new(reason).unwrap(),
        amount: Money::new(minor, Currency::GBP),
        reason: reason.to_owned(),
    })
}

#[tokio::test]
async fn what_banks_took_back_adds_up() {
    Story::<Disputes>::new()
        .given(&payment(), &[authorised()])
        .when(&payment(), &[charged_back(1_000, "fraud"), charged_back(500, "not-received")])
        .then(async |tables| {
            let rows: Vec<(i64, i64, String)> =
                sqlx::query_as("select chargebacks, taken_back_minor, reason from disputes")
                    .fetch_all(tables)
                    .await
                    .unwrap();
            assert_eq!(rows, [(2, 1_500, "not-received".to_owned())]);
        })
        .await;
}

#[test]
fn the_page_that_tells_how_to_add_it_shows_this_code() {
    let page = include_str!("../../../../docs/howto/add-a-projection.md");
    let code = concat!(include_str!("../disputes.rs"), include_str!("tests.rs"));
    let blocks: Vec<&str> = page.split("```rust\n").skip(1).collect();
    assert!(blocks.len() > 5, "the page has lost its code");
    for block in blocks {
        let block = block.split("```").next().unwrap();
        assert!(code.contains(block), "only on the page:\n{block}");
    }
}

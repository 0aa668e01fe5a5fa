//! Who buys, and what is kept of them: sealed.
//!
//! Nobody has the keys that personal data are sealed under here: what stands in their place are random
//! bytes of the length that they would have, so that the log is as large as a real one. Nothing of it
//! can be opened.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::data_key::DataKeyCreated;
use domain::ids::{CustomerRef, OrderId, SubjectId, derive_uuid};
use domain::personal::Sealed;

use super::chance::Chance;

/// Bytes of nonce and tag that are sealed with a text.
const BESIDE_TEXT: usize = 28;
/// Bytes of a wrapped key: nonce, key and tag.
const WRAPPED: usize = 60;
/// How unevenly customers order.
const SKEW: f64 = 1.7;

/// All customers, and those who have ordered.
#[derive(Debug)]
pub(super) struct People {
    count: usize,
    known: HashSet<usize>,
}

/// Who places an order.
#[derive(Debug)]
pub(super) struct Buyer {
    /// Nobody, for a guest.
    pub(super) customer: Option<CustomerRef>,
    pub(super) subject: SubjectId,
    /// Whether nothing was sealed for them before.
    pub(super) is_new: bool,
}

impl People {
    /// So many customers as `orders` orders have: half as many, of which most order once or twice.
    pub(super) fn for_orders(orders: u64) -> Self {
        Self {
            count: usize::try_from(orders / 2).unwrap_or(usize::MAX).max(1),
            known: HashSet::new(),
        }
    }

    /// A tenth are guests; the others order now and then, and a few all the time.
    pub(super) fn draw(&mut self, order: OrderId, chance: &mut Chance) -> anyhow::Result<Buyer> {
        if chance.happens(10) {
            return Ok(Buyer { customer: None, subject: SubjectId::of_guest(order), is_new: true });
        }
        let number = chance.long_tailed(self.count, SKEW);
        let customer = CustomerRef::new(format!("c-{number:07}"))?;
        let subject = SubjectId::of_customer(&customer);
        Ok(Buyer { customer: Some(customer), subject, is_new: self.known.insert(number) })
    }

    /// How many customers have ordered.
    pub(super) fn customers(&self) -> u64 {
        self.known.len() as u64
    }
}

/// A text of so many bytes, sealed for the event of an order's placing.
pub(super) fn sealed(subject: SubjectId, length: i64, chance: &mut Chance) -> Sealed {
    let length = usize::try_from(length).unwrap_or_default();
    Sealed {
        subject,
        key: key_of(subject),
        sealed_in: "order-placed".to_owned(),
        ciphertext: BASE64.encode(chance.bytes(length + BESIDE_TEXT)),
    }
}

/// The key of a person, as it would be wrapped.
pub(super) fn key(subject: SubjectId, chance: &mut Chance) -> DataKeyCreated {
    DataKeyCreated {
        key_id: key_of(subject),
        wrapped: BASE64.encode(chance.bytes(WRAPPED)),
        master_key_id: "00000000".to_owned(),
    }
}

fn key_of(subject: SubjectId) -> uuid::Uuid {
    derive_uuid(&["bench", "key", &subject.to_string()])
}

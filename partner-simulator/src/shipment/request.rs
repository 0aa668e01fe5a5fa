//! What is asked of the carrier.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::refusal::Refusal;

/// A country no carrier goes to, for trying out what happens then: Antarctica.
const NOT_SERVED: &str = "AQ";

/// Parcels of one shipment.
const MOST_PARCELS: usize = 500;

/// Names the fingerprints of addresses.
const FINGERPRINTS: Uuid = Uuid::from_u128(0x8d3e_54a7_19f2_4b6c_a0d8_36c5_e7f1_92b4);

/// What is asked of the carrier under a shipment's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShipmentRequest {
    pub(crate) order: String,
    /// ISO 3166-1 alpha-2.
    pub(crate) destination_country: String,
    /// Parcels, the address and whatever else a caller sends: kept and compared.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl ShipmentRequest {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.order.is_empty() {
            return Err(Refusal::InvalidRequest("order must not be empty"));
        }
        let country = &self.destination_country;
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            let expected = "destination_country must be a code of two capital letters";
            return Err(Refusal::InvalidRequest(expected));
        }
        let parcels = self.other.get("parcels");
        let listed = parcels.map(|parcels| parcels.as_array().map_or(0, Vec::len));
        if listed.is_some_and(|listed| listed == 0 || listed > MOST_PARCELS) {
            return Err(Refusal::InvalidRequest("parcels must be a list of 1 to 500"));
        }
        if country == NOT_SERVED { Err(Refusal::DestinationNotServed) } else { Ok(()) }
    }

    /// How many parcels are to be fetched; one when the request does not say.
    pub(crate) fn parcels(&self) -> usize {
        self.other.get("parcels").and_then(Value::as_array).map_or(1, |listed| listed.len().max(1))
    }

    /// The same without what it says of a person. The ledger is kept for good, so of an address it
    /// only gets a fingerprint: enough to tell whether it comes again.
    pub(crate) fn without_people(mut self) -> Self {
        if let Some(address) = self.other.remove("address") {
            let fingerprint = Uuid::new_v5(&FINGERPRINTS, address.to_string().as_bytes());
            self.other.insert("address_fingerprint".into(), fingerprint.to_string().into());
        }
        self
    }
}

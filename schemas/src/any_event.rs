//! One enum over all aggregates' events, for those who read the whole log.

use domain::credit_note::CreditNoteEvent;
use domain::fulfilment::FulfilmentEvent;
use domain::order::OrderEvent;
use domain::payment::PaymentEvent;
use domain::shipment::ShipmentEvent;
use domain::stock::StockEvent;

use crate::codec::{StoredEvent, Undecodable};
use crate::event_types::EVENT_TYPES;

/// An event of any aggregate or process.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEvent {
    /// Of an order.
    Order(OrderEvent),
    /// Of the stock of a SKU.
    Stock(StockEvent),
    /// Of a payment.
    Payment(PaymentEvent),
    /// Of a shipment.
    Shipment(ShipmentEvent),
    /// Of a credit note.
    CreditNote(CreditNoteEvent),
    /// Of a fulfilment process.
    Fulfilment(FulfilmentEvent),
}

impl AnyEvent {
    /// The event stored as `data`, lifted to the newest shape.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode(event_type: &str, version: u32, data: &[u8]) -> Result<Self, Undecodable> {
        let row = EVENT_TYPES.iter().find(|row| row.name == event_type);
        match row.map(|row| row.category) {
            Some("order") => OrderEvent::decode(event_type, version, data).map(Self::Order),
            Some("stock") => StockEvent::decode(event_type, version, data).map(Self::Stock),
            Some("payment") => PaymentEvent::decode(event_type, version, data).map(Self::Payment),
            Some("shipment") => {
                ShipmentEvent::decode(event_type, version, data).map(Self::Shipment)
            }
            Some("credit_note") => {
                CreditNoteEvent::decode(event_type, version, data).map(Self::CreditNote)
            }
            Some("fulfilment") => {
                FulfilmentEvent::decode(event_type, version, data).map(Self::Fulfilment)
            }
            Some(_) | None => Err(Undecodable::UnknownType { event_type: event_type.to_owned() }),
        }
    }
}

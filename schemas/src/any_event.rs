//! One enum over all aggregates' events, for those who read the whole log.

use domain::credit_note::CreditNoteEvent;
use domain::data_key::DataKeyEvent;
use domain::erasure::ErasureEvent;
use domain::fulfilment::FulfilmentEvent;
use domain::numbering::NumberingEvent;
use domain::order::OrderEvent;
use domain::payment::PaymentEvent;
use domain::reference::ReferenceEvent;
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
    /// Of a series of numbers.
    Numbering(NumberingEvent),
    /// Of a reference of a channel.
    Reference(ReferenceEvent),
    /// Of a person's data key.
    DataKey(DataKeyEvent),
    /// Of the erasure of a person.
    Erasure(ErasureEvent),
    /// Of a process.
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
            Some("numbering") => {
                NumberingEvent::decode(event_type, version, data).map(Self::Numbering)
            }
            Some("reference") => {
                ReferenceEvent::decode(event_type, version, data).map(Self::Reference)
            }
            Some("data_key") => DataKeyEvent::decode(event_type, version, data).map(Self::DataKey),
            Some("erasure") => ErasureEvent::decode(event_type, version, data).map(Self::Erasure),
            Some("fulfilment") => {
                FulfilmentEvent::decode(event_type, version, data).map(Self::Fulfilment)
            }
            Some(_) | None => Err(Undecodable::UnknownType { event_type: event_type.to_owned() }),
        }
    }
}

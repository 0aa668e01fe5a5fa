//! Why a partner refuses a request. The codes are part of the contract; how they become HTTP
//! statuses is decided elsewhere.

/// A refusal that repeating the same request does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this key was used before with a different body")]
    IdempotencyConflict,
    #[error("this key was closed before it was used, and stays closed")]
    KeyClosed,
    #[error("no payment is known under this key")]
    UnknownPayment,
    #[error("no shipment is known under this key")]
    UnknownShipment,
    #[error("this payment is not authorised")]
    NotAuthorised,
    #[error("{asked} is more than the {left} that is left")]
    AmountTooLarge { asked: i64, left: i64 },
    #[error("the authorisation has expired")]
    AuthorisationExpired,
    #[error("the card's bank does not pay")]
    CaptureDeclined,
    #[error("the card's bank does not take the money back")]
    RefundRefused,
    #[error("the customer's bank has taken this money back already")]
    ChargedBack,
    #[error("the parcel has been handed over and can no longer be stopped")]
    AlreadyHandedOver,
    #[error("the shipment was cancelled")]
    ShipmentCancelled,
    #[error("no service to this country")]
    DestinationNotServed,
    #[error("{0}")]
    InvalidRequest(&'static str),
}

impl Refusal {
    /// The code callers decide by.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::KeyClosed => "key_closed",
            Self::UnknownPayment => "unknown_payment",
            Self::UnknownShipment => "unknown_shipment",
            Self::NotAuthorised => "not_authorised",
            Self::AmountTooLarge { .. } => "amount_too_large",
            Self::AuthorisationExpired => "authorisation_expired",
            Self::CaptureDeclined => "capture_declined",
            Self::RefundRefused => "refund_refused",
            Self::ChargedBack => "charged_back",
            Self::AlreadyHandedOver => "already_handed_over",
            Self::ShipmentCancelled => "shipment_cancelled",
            Self::DestinationNotServed => "destination_not_served",
            Self::InvalidRequest(_) => "invalid_request",
        }
    }
}

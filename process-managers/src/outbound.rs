//! Calls to the outside world, and how they fail.
//!
//! A partner is called under an idempotency key that is derived from the payment or shipment, so a
//! call may be repeated at will, and *is* repeated to learn what became of something pending. A call
//! whose outcome is unknown (no answer in time, a dropped connection) is never guessed about: the
//! partner is *asked* what it knows under that key.

mod breaker;
mod carrier;
mod http;
mod payment;
#[cfg(test)]
mod tests;

pub(crate) use carrier::Carrier;
pub(crate) use http::PartnerError;
pub(crate) use payment::{Authorisation, Movement, PaymentGateway};

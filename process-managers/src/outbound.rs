//! Calls to the outside world, and how they fail.
//!
//! A partner is called under an idempotency key that is derived from the order, so a call may be
//! repeated at will. A call whose outcome is unknown (no answer in time, a dropped connection) is
//! never guessed about: the partner is *asked* what it knows under that key.

mod breaker;
mod carrier;
mod http;
mod payment;

pub(crate) use carrier::{Carrier, Tracking};
pub(crate) use http::PartnerError;
pub(crate) use payment::{Authorisation, PaymentGateway};

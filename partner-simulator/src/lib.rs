//! A payment gateway and a carrier, simulated as real HTTP services.
//!
//! They exist so that nothing is faked on our side: the real HTTP client meets declined cards,
//! time-outs after the money was taken, late authorisations and restarts. What they charged and
//! booked is in a ledger on disk, so killing the simulator loses nothing. The contract is
//! `docs/partners.md`; real gateways and carriers are adapted to the same.
//!
//! Reading order: [`options`]; the rules without any input or output in [`payment`] and
//! [`shipment`], with their refusals in [`refusal`]; [`ledger`] stores and [`books`] holds what
//! happened; [`cards`] says which test card does what; [`gateway`] and [`carrier`] are the HTTP
//! side, with [`answer`] for what they have in common; [`service`] runs it all.

mod answer;
mod books;
mod cards;
mod carrier;
mod clock;
mod gateway;
mod ledger;
mod options;
mod payment;
mod refusal;
mod service;
mod shipment;

pub use ledger::Error;
pub use options::Options;
pub use service::{Simulator, serve};

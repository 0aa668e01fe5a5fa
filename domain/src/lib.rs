//! The language and the rules of the order store.
//!
//! Pure: nothing in this crate waits, reads a clock, draws a random number or knows where events
//! are stored. Time and ids come in with the commands.
//!
//! In reading order: the shape of a [`decider`]; the words that all share ([`ids`], [`money`],
//! [`personal`] data, [`quantity`]); the [`pricing`] of orders; the aggregates [`order`],
//! [`stock`], [`payment`], [`shipment`] and [`credit_note`]; what orders are called by
//! ([`numbering`], [`reference`]); the keys of persons ([`data_key`], [`erasure`]); and
//! [`fulfilment`], the processes that do what an order asks for.

pub mod decider;
pub mod ids;
pub mod money;
pub mod personal;
pub mod pricing;
pub mod quantity;

pub mod order;
pub mod stock;

pub mod payment;
pub mod shipment;

pub mod credit_note;

pub mod numbering;
pub mod reference;

pub mod data_key;
pub mod erasure;

pub mod fulfilment;

#[cfg(test)]
mod testing;

pub use decider::{Decider, fold};

//! Streams that wait because of an event that could not be folded, and what people do about them.
//!
//! Such an event stops its stream, not the projection: later events of the stream wait in the log,
//! in order. In reading order: what is not folded as it comes (`exceptions`) and where that is kept
//! (`ledger`); how a stream is tried again (`attempt`), which each `build` does once by itself; what
//! there is to [`list`] and to [`show`] (`cases`); where a stream is kept (`places`), [`retry`] and
//! [`skip`] (`intervention`), and [`unskip`] (`taking_back`).

mod attempt;
mod build;
mod cases;
mod exceptions;
mod intervention;
mod ledger;
mod places;
mod taking_back;

pub use cases::{Case, Event, SkippedEvent, Waiting, list, show};
pub use intervention::{Skip, Tried, Which, retry, skip};
pub use taking_back::unskip;

pub(crate) use attempt::{Attempt, HowMuch, attempt, attempt_rows, try_some};
pub(crate) use exceptions::Exceptions;
pub(crate) use ledger::{begin, count, forget, untried};
pub(crate) use places::readable_from;

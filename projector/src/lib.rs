//! Read models in Postgres: the only SQL in the workspace.
//!
//! In reading order: the [names](ProjectionName) and codes that rows are made of; what a
//! `projection` is, and the six `projections`; how a batch of events is folded (`fold`); sessions
//! with the `database` and the `failure`s of it; the `bookkeeping` of who may write what; the
//! `writer` of one generation; how `generation`s come and go; the `worker` that moves one forward;
//! the [`Projector`] that keeps workers going; the [`Rebuild`] of projections and their [`status`].
//! Readers start at [`read_model`] and need nothing else.

mod code;
mod name;

mod table;
mod value;

mod projection;
mod projections;

mod fold;

mod database;
mod error;
mod failure;
mod options;

mod bookkeeping;
mod writer;

mod generation;

mod worker;

mod projector;

mod rebuild;

mod status;

pub mod read_model;

#[cfg(test)]
mod story;

pub use error::Error;
pub use name::{ProjectionName, UnknownProjection};
pub use options::Options;
pub use projector::Projector;
pub use rebuild::{BuildProgress, Rebuild, Rebuilt};
pub use status::{GenerationState, ProjectionStatus, Quarantined, migrate, status};
pub use worker::{Role, Stats, WorkerStatus};

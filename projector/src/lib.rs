//! Read models in Postgres: the only SQL in the workspace.
//!
//! In reading order: the [names](ProjectionName) and [codes](mod@code) that rows are made of; a
//! [`projection`] and the six of them ([`projections`]); how a batch of events is [folded](fold);
//! the [database] and what is kept about [generations](generation) in it; the [`worker`] that moves
//! one generation forward; the [`projector`] that keeps workers going; [`rebuild`] and [`status`].
//! Readers start at [`read_model`], and need nothing else.

mod code;
mod database;
mod error;
mod fold;
mod name;

mod projection;
mod projections;

pub mod read_model;

pub use error::Error;
pub use name::{ProjectionName, UnknownProjection};

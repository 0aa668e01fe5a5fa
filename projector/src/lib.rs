//! Read models in Postgres: the only SQL in the workspace.
//!
//! In reading order: the [names](ProjectionName) and codes that rows are made of; what a
//! `projection` is, and the six `projections`; how a batch of events is folded (`fold`); sessions
//! with the `database`, their `priority`, and the `failure`s of it; the `bookkeeping` of who may
//! write what, and the [`quarantine`] of streams with an event that cannot be folded; the `writer` of
//! one `slice` of a generation, and the states that it keeps (`recent`); how `generation`s come and
//! go, and which of them readers see (`opening`, `promotion`); the `worker` that moves a slice
//! forward, its `feed`, and what it is called for (`calls`); how processes share slices out (`fleet`);
//! the [`Projector`] that keeps workers going; what people do about generations (`lifecycle`); the
//! [`Rebuild`] of projections and their [`status`]. Generations are [compared](diff), rows are
//! [verified](verify()) against the log and [folded again](rebuild_stream) where they are wrong.
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
mod priority;

mod slice;

mod bookkeeping;
pub mod quarantine;
mod recent;
mod writer;

mod generation;
mod opening;
mod promotion;
mod verdict;
mod views;

mod board;
mod calls;
mod feed;
mod worker;

mod fleet;

mod projector;

mod rebuild;

mod another_log;
pub mod compare;
mod heal;
mod verify;

mod build;

mod lag;
mod lifecycle;
mod status;

pub mod read_model;

#[cfg(test)]
mod fencing;
#[cfg(test)]
mod story;
#[cfg(test)]
mod testbed;

pub use board::{Role, Stats, WorkerStatus};
pub use build::{
    BuildProgress, Busy, Compared, Phase, Plan, PlannedProjection, Progress, RebuildOptions, plan,
};
pub use compare::{Comparison, TableComparison, diff};
pub use database::DatabaseError;
pub use error::Error;
pub use heal::{RebuiltStream, StreamOutcome, rebuild_stream};
pub use lag::Lag;
pub use lifecycle::{
    Changed, Dropped, PromoteOptions, RollbackOptions, drop_generation, promote, rollback,
};
pub use name::{ProjectionName, UnknownProjection};
pub use options::Options;
pub use priority::let_others_go_first;
pub use projector::Projector;
pub use rebuild::{Rebuild, Rebuilt, pause, resume};
pub use status::{
    Counters, GenerationState, Paused, ProjectionStatus, Quarantined, SliceStatus, WorkerSeen,
    migrate, status,
};
pub use verdict::{LastComparison, Refusal, Verdict};
pub use verify::{Drift, Sample, Verification, VerifyOptions, VerifyProgress, verify, verify_one};

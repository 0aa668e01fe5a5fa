//! Building generations from the whole log at once.
//!
//! A `run` fills new generations of some projections in one pass over the log: its events are dealt
//! out to partitions by stream (`dealing`, into `spill`), partitions are folded on all processors
//! (`folding`; the `long_history` of a stream waits in a file) and copied into the tables
//! (`copying`, `filling`), and what a live generation has besides rows is made in the end
//! (`finishing`). From then on workers go on with the generations: they catch up (`catching_up`),
//! get what their readers need (`indexing`), and are promoted. The `engine` takes these steps;
//! `pacing` keeps it out of everybody's way; `progress` says how far it is.

pub(crate) mod spill;

mod options;

mod progress;
mod run;

mod pacing;

mod dealing;
mod left_over;

mod folding;
mod long_history;

mod copying;

mod filling;

mod finishing;

mod indexing;

mod catching_up;

mod engine;

mod starting;

mod planning;

mod tending;

pub use options::RebuildOptions;
pub use planning::{Busy, Plan, PlannedProjection, plan};
pub use progress::{BuildProgress, Compared, Progress};
pub use run::Phase;

pub(crate) use engine::{Engine, Outcome};
pub(crate) use left_over::remove as remove_left_over;
pub(crate) use progress::Board;
pub(crate) use run::{give_up, set_paused};
pub(crate) use starting::start;
pub(crate) use tending::build_what_is_left;

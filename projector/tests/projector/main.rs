//! The projector against a real Postgres and a real event store.

mod history;
mod world;

mod continuity;
mod generations;
mod reading;
mod rows;
mod workers;

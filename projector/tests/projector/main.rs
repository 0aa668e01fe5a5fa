//! The projector against a real Postgres and a real event store.

#![expect(clippy::unwrap_used, reason = "a panic here fails the test that called, as it should")]

mod history;
mod lives;
mod world;

mod continuity;
mod customers;
mod generations;
mod orders;
mod reading;
mod rows;
mod stock;
mod workers;

//! The projector against a real Postgres and a real event store.

#![expect(clippy::unwrap_used, reason = "a panic here fails the test that called, as it should")]

mod history;
mod lives;
mod world;

mod access;
mod builds;
mod compare;
mod continuity;
mod customers;
mod exceptions;
mod generations;
mod indexes;
mod openings;
mod orders;
mod past;
mod quarantine;
mod reading;
mod returns;
mod rollbacks;
mod rows;
mod runs;
mod sales;
mod stock;
mod verdicts;
mod verify;
mod workers;

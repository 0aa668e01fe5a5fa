//! The whole system, as its users meet it: the real binary, real processes, real sockets, real kills.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod architecture;
mod chaos;
mod deployment;
mod event_store;
mod first_run;
mod flash_sale;
mod history;
mod orders;
mod privacy;
mod projections;
mod roles;
mod running;

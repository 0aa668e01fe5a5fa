//! The commands of the CLI, one file each.

pub(crate) mod customers;
pub(crate) mod erase_customer;
pub(crate) mod event_store;
pub(crate) mod import;
pub(crate) mod orders;
pub(crate) mod projections;
pub(crate) mod roles;
pub(crate) mod scenario;
pub(crate) mod stock;
pub(crate) mod streams;
pub(crate) mod up;

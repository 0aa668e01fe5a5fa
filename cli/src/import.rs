//! Reads a shop's invoice lines and says what each of them is. Knows files, not the API.
//!
//! In reading order: a [`file`] is opened and its rows parsed, [`sorting`] groups them into invoices
//! and credit notes and says of every other row why it is no order, [`matching`] finds the orders that
//! credit notes undo, [`country`] knows the names of countries. What is then done with them is the
//! command's business.

pub(crate) mod country;
pub(crate) mod file;
pub(crate) mod matching;
pub(crate) mod sorting;
#[cfg(test)]
mod tests;

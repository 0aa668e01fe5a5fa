//! The projections: one file each, with its tables, its rows and the fold from events to rows.

pub(crate) mod orders;

pub(crate) mod stock_levels;

pub(crate) mod payments;
pub(crate) mod shipments;

pub(crate) mod fulfilments;

pub(crate) mod credit_notes;

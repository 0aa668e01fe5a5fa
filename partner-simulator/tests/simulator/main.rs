//! The contract of the simulated partners, over real HTTP.

mod partners;
mod payments;
mod shipments;
mod support;

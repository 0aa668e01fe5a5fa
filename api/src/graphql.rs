//! GraphQL: what can be asked for, and how it is answered. HTTP and WebSocket are not here.
//!
//! In reading order: who may do what ([`access`]), what a document may cost (`cost`), the
//! `documents` that came before, and the `gate` that applies all of it; the words (`scalars`,
//! `model`, `input`, `user_error`, `error`); what resolvers know (`request`) and how they read
//! (`page`, `freshness`, `loaders`, `live`); `query`, `mutation` and `subscription`; and the
//! [`schema`] they make.

pub(crate) mod access;
mod cost;
mod documents;
pub(crate) mod gate;

mod input;
mod model;
mod persons;
mod scalars;

pub(crate) mod error;
mod user_error;

mod auto_hold;
mod freshness;
mod known_skus;
mod live;
mod loaders;
mod numbers;
mod page;
mod references;
pub(crate) mod request;

mod mutation;
mod query;
mod subscription;

pub(crate) mod schema;

//! GraphQL over HTTP and WebSocket, authentication, health.
//!
//! In reading order: what can be [chosen](Options); [who is asking](auth); the [server](serve) and
//! what it [needs](Deps); every [route on one screen](router); how far projections [lag](lag); how requests come in over
//! [`http`]; and what can be asked for ([`graphql`]).
//!
//! Resolvers are thin: authorise, translate, execute, translate back. Rules are `domain`'s, rows
//! are `projector`'s.

mod options;

pub mod auth;

mod server;

mod router;

mod lag;

mod http;

mod graphql;

pub use graphql::access::{ACCESS, Access};
pub use graphql::schema::sdl;
pub use http::health::{Check, CheckFailed};
pub use http::scenario::{Lines, Scenarios};
pub use options::{HoldAbove, Options, OrderNumberPrefix};
pub use server::{Deps, Server, serve};

//! The schema put together, with its limits.

use async_graphql::Schema;

use super::mutation::Mutation;
use super::query::Query;
use super::request::Services;
use super::subscription::Subscription;

pub(crate) type ApiSchema = Schema<Query, Mutation, Subscription>;

/// Selections in selections. The introspection query of common explorers needs 15.
const MAX_DEPTH: usize = 16;
/// Fields that an answer may have, pages counted in full.
const MAX_COMPLEXITY: usize = 10_000;
/// Directives on one field.
const MAX_DIRECTIVES: usize = 8;

/// The schema over `services`.
pub(crate) fn build(services: Services) -> ApiSchema {
    Schema::build(Query::default(), Mutation::default(), Subscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .limit_directives(MAX_DIRECTIVES)
        .data(services)
        .finish()
}

/// The schema in GraphQL's own language, as it is published.
pub fn sdl() -> String {
    Schema::build(Query::default(), Mutation::default(), Subscription).finish().sdl()
}

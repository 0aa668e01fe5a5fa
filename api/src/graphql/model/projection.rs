//! How far a projection is, as the schema shows it.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use projector::read_model::{Freshness, ProjectionName};

/// How far a projection is: how fresh the answers are that come from it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Projection {
    /// Its name.
    name: String,
    /// Everything up to here can be read: a position as mutations return it. None before its first
    /// build is done.
    position: Option<String>,
    /// When its worker was last seen alive, by the database's clock.
    updated_at: Option<DateTime<Utc>>,
    /// Whether nothing was left to do then.
    caught_up: bool,
}

impl Projection {
    pub(crate) fn new(name: ProjectionName, freshness: Option<Freshness>) -> Self {
        Self {
            name: name.as_str().to_owned(),
            position: freshness.map(|freshness| freshness.position.to_string()),
            updated_at: freshness.map(|freshness| freshness.updated_at),
            caught_up: freshness.is_some_and(|freshness| freshness.caught_up),
        }
    }
}

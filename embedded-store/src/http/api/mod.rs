//! Where the page gets what it shows: JSON, all of it by GET, every answer bounded.
//!
//! | Path under `/web/api` | Answers |
//! |---|---|
//! | `/streams?count=` | streams that were created or written to lately |
//! | `/names?prefix=&after=&count=` | streams by name, from one beginning on |
//! | `/streams/{name}?from=&direction=&count=` | a page of a stream, and what holds for the stream |
//! | `/streams/{name}/{revision}?position=` | one event in full; by its position it is found even if it is hidden |
//! | `/streams/{name}/{revision}/data`, `…/metadata` | exactly the bytes that were written, to be saved |
//! | `/streams/{name}/follow?after=` | the stream's new events (server-sent events) |
//! | `/log?from=&direction=&count=` and a filter | a page of `$all` |
//! | `/log/follow?after=` and a filter | the log's new events (server-sent events) |
//! | `/search?text=&from=&count=` | events with this id, or whose metadata speaks of it, newest first |
//! | `/subscriptions` | groups of persistent subscriptions |
//! | `/store` | facts about the store |
//!
//! `from` is `start`, `end` or a number, `direction` is `forward` or `backward`; `count` is at most
//! [`MOST`]. A filter is any of `stream`, `stream_pattern`, `type` and `type_pattern`: prefixes,
//! several separated by commas, and regular expressions; what is given must all hold.
//!
//! Revisions and positions are strings, because they can be larger than what a script's numbers
//! hold exactly. A problem is an object with `error`, a word, and `message`, a sentence.

mod event;
mod follow;
mod log;
mod search;
mod store;
mod streams;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;

use super::{Problem, access};
use crate::protocol::Context;
use crate::storage::Direction;

/// Events on a page at most.
const MOST: usize = 500;

const USUAL: usize = 20;

pub(super) fn router(context: Arc<Context>) -> Router<Arc<Context>> {
    Router::new()
        .route("/streams", get(streams::recent))
        .route("/names", get(streams::names))
        .route("/streams/{name}", get(streams::page))
        .route("/streams/{name}/follow", get(follow::stream))
        .route("/streams/{name}/{revision}", get(event::event))
        .route("/streams/{name}/{revision}/data", get(event::data))
        .route("/streams/{name}/{revision}/metadata", get(event::metadata))
        .route("/log", get(log::page))
        .route("/log/follow", get(follow::log))
        .route("/search", get(search::search))
        .route("/subscriptions", get(store::subscriptions))
        .route("/store", get(store::facts))
        .route_layer(middleware::from_fn_with_state(context, access::known_host))
        .layer(middleware::map_response(access::private))
}

fn direction(text: Option<&str>) -> Result<Direction, Problem> {
    match text {
        Some("forward") => Ok(Direction::Forwards),
        Some("backward") | None => Ok(Direction::Backwards),
        Some(_) => Err(Problem::invalid("The direction is neither forward nor backward.")),
    }
}

fn count(asked: Option<usize>) -> usize {
    asked.unwrap_or(USUAL).clamp(1, MOST)
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse()
        .map_err(|_| Problem::invalid(format!("{text} is not a number that counts events.")))
}

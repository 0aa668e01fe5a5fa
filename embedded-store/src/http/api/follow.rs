//! New events as they are committed, as server-sent events. It is a subscription like any other:
//! pulled by the connection, so that a slow browser costs a page of memory, and gone with it.
//!
//! `recorded` carries an event as lists show it, `examined` says how far a filter has come, and
//! `caught-up` that what follows is new. Each has an id, from which the browser goes on by itself
//! after a break (`Last-Event-ID`). A `problem` is the last thing that is said.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;

use super::super::{Problem, access};
use super::log::FilterAsked;
use super::{number, view};
use crate::event::Recorded;
use crate::protocol::Context;
use crate::reading::{
    LogStart, LogSubscription, Output, Reading, ReadingError, StreamSubscription,
};
use crate::security::{Action, Granted};
use crate::semantics::filter::Filter;
use crate::storage::{From, Scan};

/// Records between two notes of how far a filter has come.
const NOTE_EVERY: u32 = 1_000;

/// How often a quiet connection is used, so that a browser that is gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The header with which a browser says what it saw last.
const LAST_SEEN: &str = "last-event-id";

#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

pub(super) async fn stream(
    State(context): State<Arc<Context>>,
    Path(name): Path<Arc<str>>,
    Query(asked): Query<After>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let granted = context.security.granted();
    access::allow(&context, &headers, Action::Read(&name)).await?;
    let from = match last_seen(&headers, asked.after.as_deref()) {
        None | Some("end") => From::End,
        Some("start") => From::Start,
        Some(revision) => From::Revision(number(revision)?),
    };
    let storage = context.storage.clone();
    let subscription = StreamSubscription::begin(storage, Arc::clone(&name), from).await?;
    let reading = Reading::StreamSubscription(subscription);
    let caller = Caller { headers, granted };
    Ok(answer(Following { context, caller, reading, others: Vec::new(), stream: Some(name) }))
}

#[derive(Debug, Deserialize)]
pub(super) struct LogAsked {
    after: Option<String>,
    #[serde(flatten)]
    filter: FilterAsked,
}

pub(super) async fn log(
    State(context): State<Arc<Context>>,
    Query(asked): Query<LogAsked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let granted = context.security.granted();
    access::allow(&context, &headers, Action::ReadLog).await?;
    let start = match last_seen(&headers, asked.after.as_deref()) {
        None | Some("end") => LogStart::End,
        Some("start") => LogStart::Start,
        Some(position) => LogStart::Position(number(position)?),
    };
    let mut others = asked.filter.filters()?;
    let first = (!others.is_empty()).then(|| others.remove(0));
    let filtered = first.is_some();
    let scan = Scan::new(first).with_checkpoints(NOTE_EVERY);
    let subscription = LogSubscription::new(context.storage.clone(), start, scan, filtered);
    let reading = Reading::LogSubscription(subscription);
    let caller = Caller { headers, granted };
    Ok(answer(Following { context, caller, reading, others, stream: None }))
}

fn last_seen<'a>(headers: &'a HeaderMap, asked: Option<&'a str>) -> Option<&'a str> {
    headers.get(LAST_SEEN).and_then(|seen| seen.to_str().ok()).or(asked)
}

fn answer(following: Following) -> Response {
    let sse = Sse::new(events(following)).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    // Proxies that gather an answer before they pass it on would hold every event back.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    ([unbuffered], sse).into_response()
}

struct Caller {
    headers: HeaderMap,
    granted: Granted,
}

struct Following {
    context: Arc<Context>,
    caller: Caller,
    reading: Reading,
    /// Conditions that the subscription itself does not look at.
    others: Vec<Filter>,
    /// What is followed; the whole log if it is no stream.
    stream: Option<Arc<str>>,
}

fn events(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    let pages = stream::unfold(Some(following), |following| async {
        let mut following = following?;
        let page = match following.next().await {
            Ok(page) => page,
            Err(denied) => return Some((problem(&denied).into_iter().collect(), None)),
        };
        match page {
            Ok(Some(_)) if following.others.iter().any(Filter::has_given_up) => {
                Some((problem(&ReadingError::CostlyFilter.into()).into_iter().collect(), None))
            }
            Ok(Some(page)) => {
                let events: Vec<_> =
                    page.iter().filter_map(|output| following.event(output)).collect();
                Some((events, Some(following)))
            }
            Ok(None) => None,
            Err(error) => Some((problem(&error.into()).into_iter().collect(), None)),
        }
    });
    pages.flat_map(|page| stream::iter(page.into_iter().map(Ok)))
}

/// A stop is not worth a word: the browser comes back, and finds the server or its successor.
fn problem(problem: &Problem) -> Option<Event> {
    if matches!(problem, Problem::Stopping) {
        return None;
    }
    let said = json!({ "error": problem.word(), "message": problem.to_string() });
    Some(Event::default().event("problem").data(said.to_string()))
}

impl Following {
    /// The next page, unless the caller may not see it any more.
    async fn next(&mut self) -> Result<Result<Option<Vec<Output>>, ReadingError>, Problem> {
        loop {
            let page = tokio::select! {
                biased;
                page = self.reading.next(&self.context.stopping) => Some(page),
                () = self.caller.granted.outdated() => None,
            };
            if self.caller.granted.is_outdated() {
                let action = self.stream.as_deref().map_or(Action::ReadLog, Action::Read);
                access::allow(&self.context, &self.caller.headers, action).await?;
            }
            if let Some(page) = page {
                return Ok(page);
            }
        }
    }

    fn event(&self, output: &Output) -> Option<Event> {
        match output {
            Output::Event(event) if self.wants(event) => {
                let is_log = self.stream.is_none();
                let place = if is_log { event.position } else { event.revision };
                let said = serde_json::to_string(&view::summary(event)).ok()?;
                Some(Event::default().event("recorded").id(place.to_string()).data(said))
            }
            Output::Checkpoint(position) => {
                let examined = Event::default().event("examined").id(position.to_string());
                Some(examined.data(position.to_string()))
            }
            Output::CaughtUp(_) => Some(Event::default().event("caught-up").data("")),
            Output::Event(_)
            | Output::FellBehind(_)
            | Output::NotFound
            | Output::FirstRevision(_)
            | Output::LastRevision(_) => None,
        }
    }

    fn wants(&self, event: &Recorded) -> bool {
        self.others.iter().all(|filter| filter.passes(&event.stream, &event.kind))
    }
}

//! The whole log, `$all`, page by page and through a filter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Problem, access};
use super::{count, direction, number, view};
use crate::event::Recorded;
use crate::protocol::Context;
use crate::reading::ReadingError;
use crate::security::Action;
use crate::semantics::filter::{Filter, InvalidPattern, Subject};
use crate::storage::{Direction, Item, LogQuery, Scan};

/// Queries that one page makes at most, while its filter lets too little through.
const QUERIES: usize = 16;

/// What `$all` is filtered by; what is given must all hold.
#[derive(Debug, Default, Deserialize)]
pub(super) struct FilterAsked {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    stream_pattern: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    type_pattern: String,
}

impl FilterAsked {
    /// Each condition by itself.
    pub(super) fn filters(&self) -> Result<Vec<Filter>, Problem> {
        let prefixes = [(Subject::StreamName, &self.stream), (Subject::EventType, &self.kind)];
        let patterns =
            [(Subject::StreamName, &self.stream_pattern), (Subject::EventType, &self.type_pattern)];
        let prefixes = prefixes.into_iter().filter_map(|(subject, text)| {
            let prefixes: Vec<String> = text
                .split(',')
                .map(str::trim)
                .filter(|prefix| !prefix.is_empty())
                .map(str::to_owned)
                .collect();
            (!prefixes.is_empty()).then(|| Filter::new(subject, prefixes, ""))
        });
        let patterns = patterns
            .into_iter()
            .filter(|(_, pattern)| !pattern.is_empty())
            .map(|(subject, pattern)| Filter::new(subject, Vec::new(), pattern));
        let filters: Result<Vec<_>, _> = prefixes.chain(patterns).collect();
        filters.map_err(|invalid| {
            Problem::invalid(match invalid {
                InvalidPattern::Broken(_) => "The filter's regular expression is not valid.",
                InvalidPattern::TooLong => "The filter's regular expression is too long.",
            })
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PageAsked {
    from: Option<String>,
    direction: Option<String>,
    count: Option<usize>,
    #[serde(flatten)]
    filter: FilterAsked,
}

pub(super) async fn page(
    State(context): State<Arc<Context>>,
    Query(asked): Query<PageAsked>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    access::allow(&context, &headers, Action::ReadLog).await?;
    let direction = direction(asked.direction.as_deref())?;
    let end = *context.storage.committed().borrow();
    let mut pages = Pages {
        range: range(asked.from.as_deref(), direction, end)?,
        direction,
        missing: count(asked.count),
        filters: asked.filter.filters()?,
        events: Vec::new(),
    };
    for _ in 0..QUERIES {
        if pages.missing == 0 || pages.is_at_end() {
            break;
        }
        pages.read_on(&context).await?;
        if pages.filters.iter().any(Filter::has_given_up) {
            return Err(ReadingError::CostlyFilter.into());
        }
    }
    let next = match direction {
        Direction::Forwards => pages.range.0,
        Direction::Backwards => pages.range.1,
    };
    Ok(Json(json!({
        "events": pages.events.iter().map(|event| view::summary(event)).collect::<Vec<_>>(),
        // Where the next page in the same direction begins; nothing at the end.
        "next": (!pages.is_at_end()).then(|| next.to_string()),
        "full": pages.missing == 0,
        "end": end.to_string(),
    })))
}

/// Positions that are left to read, both inclusive. A page in either direction begins with the
/// record at its position.
fn range(from: Option<&str>, direction: Direction, end: u64) -> Result<(u64, u64), Problem> {
    Ok(match (direction, from) {
        (Direction::Forwards, None | Some("start"))
        | (Direction::Backwards, None | Some("end")) => (1, end),
        (Direction::Forwards, Some("end")) | (Direction::Backwards, Some("start")) => (1, 0),
        (Direction::Forwards, Some(from)) => (number(from)?.max(1), end),
        (Direction::Backwards, Some(from)) => (1, number(from)?.min(end)),
    })
}

/// A page of ours, gathered from pages of the log.
struct Pages {
    range: (u64, u64),
    direction: Direction,
    missing: usize,
    filters: Vec<Filter>,
    events: Vec<Arc<Recorded>>,
}

impl Pages {
    fn is_at_end(&self) -> bool {
        self.range.0 > self.range.1
    }

    async fn read_on(&mut self, context: &Context) -> Result<(), Problem> {
        // The first condition is tried before an event is read as a whole, the others after.
        let (first, others) = match self.filters.split_first() {
            Some((first, others)) => (Some(first.clone()), others),
            None => (None, [].as_slice()),
        };
        let query = LogQuery {
            range: self.range,
            direction: self.direction,
            limit: if others.is_empty() { self.missing as u64 } else { u64::MAX },
            scan: Scan::new(first),
        };
        let page = context.storage.read_log(query).await?;
        let mut examined = page.examined;
        let mut at_end = page.end || examined.is_none();
        for item in page.items {
            let Item::Event(event) = item else { continue };
            if !others.iter().all(|filter| filter.passes(&event.stream, &event.kind)) {
                continue;
            }
            if self.missing == 0 {
                break;
            }
            self.missing -= 1;
            if self.missing == 0 {
                examined = Some(event.position);
                at_end = false;
            }
            self.events.push(event);
        }
        self.range = match (examined, self.direction) {
            (Some(examined), Direction::Forwards) if !at_end => (examined + 1, self.range.1),
            (Some(examined), Direction::Backwards) if !at_end => (self.range.0, examined - 1),
            (_, _) => (1, 0),
        };
        Ok(())
    }
}

//! What a group reads, page by page: a stream or the whole log, from the newest records in memory
//! where these reach back far enough and else from the disk.

use std::sync::Arc;

use super::group::Read;
use super::message::Resolved;
use super::settings::Source;
use crate::event::{LINK_KIND, Recorded, TOMBSTONE};
use crate::semantics::{filter, names};
use crate::storage::{
    Direction, From, Item, LogQuery, ReadError, Scan, Storage, StreamPage, StreamQuery, ticks_now,
};

/// Records taken from memory at a time.
const RECENT_RECORDS: usize = 512;

/// What every name of a group's own streams begins with.
const OWN: &str = "$persistentsubscription-";

/// The stream of a group's checkpoints.
pub(crate) fn checkpoint_stream(source: &str, group: &str) -> Arc<str> {
    format!("{OWN}{source}::{group}-checkpoint").into()
}

/// The stream of a group's parked messages.
pub(crate) fn parked_stream(source: &str, group: &str) -> Arc<str> {
    format!("{OWN}{source}::{group}-parked").into()
}

/// Whether a stream holds what groups on the whole log write themselves, or the metadata of that.
/// They do not see it, or each checkpoint would be a reason for the next.
fn is_own(stream: &str) -> bool {
    filter::is_outside_of_all(names::original_of(stream).unwrap_or(stream))
}

/// How far a group has read. Plain data: a page is read with a copy of it, and brings the next one.
#[derive(Debug, Clone)]
pub(crate) enum Cursor {
    Stream {
        stream: Arc<str>,
        /// The first revision that was not read.
        next: u64,
        /// Everything of the stream up to this position of the log was read, if that is known.
        at: Option<u64>,
    },
    Log {
        /// The last position that was looked at.
        examined: u64,
        scan: Scan,
    },
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Read>,
    /// The position of the log up to which nothing else is for the group. Not of a stream.
    pub(crate) passed: Option<u64>,
    pub(crate) cursor: Cursor,
    /// Whether there was nothing more.
    pub(crate) end: bool,
}

/// Why a group cannot go on reading.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the stream is deleted for ever")]
    Tombstoned,
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl Cursor {
    /// Begins after `position`.
    pub(crate) fn after(source: &Source, position: Option<u64>) -> Self {
        match source {
            Source::Stream(stream) => Self::Stream {
                stream: Arc::clone(stream),
                next: position.map_or(0, |position| position.saturating_add(1)),
                at: None,
            },
            Source::All(filter) => Self::Log {
                examined: position.unwrap_or(0),
                scan: Scan::new(filter.as_ref().map(|choice| choice.filter.clone())),
            },
        }
    }

    /// The next page of up to `limit` records. Not one of those that are there may be skipped, so
    /// that what `end` says holds.
    pub(crate) async fn read(
        self,
        storage: Storage,
        limit: usize,
        resolve_links: bool,
    ) -> Result<Page, SourceError> {
        let (events, mut page) = match self {
            Self::Stream { stream, next, at } => {
                let recent =
                    at.and_then(|at| Some((at, storage.recent_after(at, RECENT_RECORDS)?)));
                match recent {
                    Some((at, recent)) => recent_of_stream(stream, next, at, recent, limit)?,
                    None => read_stream(&storage, stream, next, limit).await?,
                }
            }
            Self::Log { examined, scan } => match storage.recent_after(examined, RECENT_RECORDS) {
                Some(recent) => recent_of_log(examined, scan, recent, limit),
                None => read_log(&storage, examined, scan, limit).await?,
            },
        };
        page.records = resolved(&storage, events, resolve_links, &page.cursor).await?;
        Ok(page)
    }
}

type Events = Vec<Arc<Recorded>>;

fn page(cursor: Cursor, passed: Option<u64>, end: bool) -> Page {
    Page { records: Vec::new(), passed, cursor, end }
}

fn recent_of_stream(
    stream: Arc<str>,
    mut next: u64,
    mut at: u64,
    recent: Events,
    limit: usize,
) -> Result<(Events, Page), SourceError> {
    let mut end = recent.len() < RECENT_RECORDS;
    let mut events = Vec::new();
    for event in recent {
        if event.stream == stream && event.revision == TOMBSTONE {
            if events.is_empty() {
                return Err(SourceError::Tombstoned);
            }
            // First what came before it; the next page begins with it.
            end = false;
            break;
        }
        if events.len() >= limit {
            end = false;
            break;
        }
        at = event.position;
        if event.stream == stream && event.revision >= next {
            next = event.revision + 1;
            events.push(event);
        }
    }
    Ok((events, page(Cursor::Stream { stream, next, at: Some(at) }, None, end)))
}

async fn read_stream(
    storage: &Storage,
    stream: Arc<str>,
    next: u64,
    limit: usize,
) -> Result<(Events, Page), SourceError> {
    let query = StreamQuery {
        stream: Arc::clone(&stream),
        from: From::Revision(next),
        direction: Direction::Forwards,
        limit: limit as u64,
        now: ticks_now(),
    };
    let (found, end) = storage.read_stream_and_end(query).await?;
    match found {
        StreamPage::Tombstoned => Err(SourceError::Tombstoned),
        StreamPage::NotFound => {
            Ok((Vec::new(), page(Cursor::Stream { stream, next, at: Some(end) }, None, true)))
        }
        StreamPage::Events(found) => {
            let next = found.events.last().map_or(next, |last| last.revision + 1);
            let at = found.next.is_none().then_some(end);
            let cursor = Cursor::Stream { stream, next, at };
            Ok((found.events, page(cursor, None, found.next.is_none())))
        }
    }
}

fn recent_of_log(mut examined: u64, scan: Scan, recent: Events, limit: usize) -> (Events, Page) {
    let mut end = recent.len() < RECENT_RECORDS;
    let mut events = Vec::new();
    for event in recent {
        if events.len() >= limit {
            end = false;
            break;
        }
        examined = event.position;
        if scan.wants(&event.stream, &event.kind) && !is_own(&event.stream) {
            events.push(event);
        }
    }
    (events, page(Cursor::Log { examined, scan }, Some(examined), end))
}

async fn read_log(
    storage: &Storage,
    examined: u64,
    scan: Scan,
    limit: usize,
) -> Result<(Events, Page), SourceError> {
    let committed = *storage.committed().borrow();
    if examined >= committed {
        return Ok((Vec::new(), page(Cursor::Log { examined, scan }, None, true)));
    }
    let query = LogQuery {
        range: (examined + 1, committed),
        direction: Direction::Forwards,
        limit: limit as u64,
        scan: scan.clone(),
    };
    let found = storage.read_log(query).await?;
    let events = found.items.into_iter().filter_map(|item| match item {
        Item::Event(event) if !is_own(&event.stream) => Some(event),
        Item::Event(_) | Item::Checkpoint(_) => None,
    });
    let examined = found.examined.unwrap_or(committed);
    let end = found.end || examined >= committed;
    Ok((events.collect(), page(Cursor::Log { examined, scan }, Some(examined), end)))
}

async fn resolved(
    storage: &Storage,
    events: Events,
    resolve_links: bool,
    cursor: &Cursor,
) -> Result<Vec<Read>, SourceError> {
    let is_stream = matches!(cursor, Cursor::Stream { .. });
    let position = |event: &Recorded| if is_stream { event.revision } else { event.position };
    let events = resolve(storage, events, resolve_links).await?;
    Ok(events
        .into_iter()
        .map(|event| Read { position: position(&event.original), event })
        .collect())
}

/// The events, and for links among them what they point at.
pub(crate) async fn resolve(
    storage: &Storage,
    events: Events,
    resolve_links: bool,
) -> Result<Vec<Resolved>, ReadError> {
    let is_link = |event: &Recorded| resolve_links && &*event.kind == LINK_KIND;
    let targets: Vec<(u64, Arc<str>)> = events
        .iter()
        .filter(|event| is_link(event))
        .map(|event| {
            names::link_target(&event.data)
                .map_or_else(|| (0, "".into()), |(revision, stream)| (revision, stream.into()))
        })
        .collect();
    if targets.is_empty() {
        return Ok(events.into_iter().map(Resolved::plain).collect());
    }
    let mut found = storage.read_linked(targets, ticks_now()).await?.into_iter();
    Ok(events
        .into_iter()
        .map(|event| {
            if is_link(&event) {
                Resolved::link(event, found.next().flatten())
            } else {
                Resolved::plain(event)
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persistent::ALL;

    #[test]
    fn groups_on_the_whole_log_do_not_see_what_such_groups_write() {
        assert!(is_own(&checkpoint_stream(ALL, "g")));
        assert!(is_own(&parked_stream(ALL, "g")));
        assert!(is_own(&names::metastream_of(&checkpoint_stream(ALL, "g"))));
        assert!(!is_own(&parked_stream("s", "g")));
        assert!(!is_own(&parked_stream("$all-of-it", "g")));
        assert!(!is_own("$persistentSubscriptionConfig"));
    }
}

//! What a group reads, page by page: a stream or the whole log, from the newest records in memory
//! where these reach back far enough and else from the disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How long a filter may keep others from running.
const FILTERING: Duration = Duration::from_millis(5);

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
        /// Whether records are left out besides those of groups on the whole log.
        filtered: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Read>,
    /// What else was looked at. Not of a stream.
    pub(crate) passed: Option<Passed>,
    pub(crate) cursor: Cursor,
    /// Whether there was nothing more.
    pub(crate) end: bool,
}

/// Up to a position of the log nothing but what was read is for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) position: u64,
    /// How many records were left out that are a reason for a checkpoint: what groups on the whole
    /// log write themselves is none.
    pub(crate) foreign: u64,
}

/// Why a group cannot go on reading.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the stream is deleted for ever")]
    Tombstoned,
    #[error("the filter's regular expression takes too long")]
    CostlyFilter,
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
                filtered: filter.is_some(),
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
        // Known before anything is read: whatever is committed from now on wakes the group.
        let committed = *storage.committed().borrow();
        let (events, mut page) = match self {
            Self::Stream { stream, next, at } => {
                let recent =
                    at.and_then(|at| Some((at, storage.recent_after(at, RECENT_RECORDS)?)));
                match recent {
                    Some((at, recent)) => {
                        recent_of_stream((stream, next, at), recent, committed, limit)?
                    }
                    None => read_stream(&storage, stream, next, limit).await?,
                }
            }
            Self::Log { examined, scan, filtered } => {
                let log = (examined, scan, filtered);
                match storage.recent_after(examined, RECENT_RECORDS) {
                    Some(recent) => recent_of_log(log, recent, committed, limit),
                    None => read_log(&storage, log, committed, limit).await?,
                }
            }
        };
        if let Cursor::Log { scan, .. } = &page.cursor
            && scan.has_given_up()
        {
            // Some of the page may be there only because nobody knows.
            return Err(SourceError::CostlyFilter);
        }
        if !page.end {
            // Pages from memory are there at once, one after the other, however long they took.
            tokio::task::yield_now().await;
        }
        page.records = resolved(&storage, events, resolve_links, &page.cursor).await?;
        Ok(page)
    }
}

type Events = Vec<Arc<Recorded>>;

fn page(cursor: Cursor, passed: Option<Passed>, end: bool) -> Page {
    Page { records: Vec::new(), passed, cursor, end }
}

/// A page from memory ends early when it is large, so only its last position tells whether it was
/// the last one.
fn recent_of_stream(
    (stream, mut next, mut at): (Arc<str>, u64, u64),
    recent: Events,
    committed: u64,
    limit: usize,
) -> Result<(Events, Page), SourceError> {
    if recent.is_empty() {
        at = at.max(committed);
    }
    let mut events = Vec::new();
    for event in recent {
        if event.stream == stream && event.revision == TOMBSTONE {
            if events.is_empty() {
                return Err(SourceError::Tombstoned);
            }
            // First what came before it; the next page begins with it.
            break;
        }
        if events.len() >= limit {
            break;
        }
        at = event.position;
        if event.stream == stream && event.revision >= next {
            next = event.revision + 1;
            events.push(event);
        }
    }
    Ok((events, page(Cursor::Stream { stream, next, at: Some(at) }, None, at >= committed)))
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

fn recent_of_log(
    (mut examined, scan, filtered): (u64, Scan, bool),
    recent: Events,
    committed: u64,
    limit: usize,
) -> (Events, Page) {
    if recent.is_empty() {
        // The newest records were removed from the log.
        examined = examined.max(committed);
    }
    let (mut events, mut foreign, begun) = (Vec::new(), 0, Instant::now());
    for event in recent {
        if events.len() >= limit || begun.elapsed() > FILTERING {
            break;
        }
        examined = event.position;
        if is_own(&event.stream) {
            continue;
        }
        if scan.wants(&event.stream, &event.kind) {
            events.push(event);
        } else {
            foreign += 1;
        }
    }
    let passed = Passed { position: examined, foreign };
    (events, page(Cursor::Log { examined, scan, filtered }, Some(passed), examined >= committed))
}

async fn read_log(
    storage: &Storage,
    (before, scan, filtered): (u64, Scan, bool),
    committed: u64,
    limit: usize,
) -> Result<(Events, Page), SourceError> {
    if before >= committed {
        let cursor = Cursor::Log { examined: before, scan, filtered };
        return Ok((Vec::new(), page(cursor, None, true)));
    }
    let query = LogQuery {
        range: (before + 1, committed),
        direction: Direction::Forwards,
        limit: limit as u64,
        scan: scan.clone(),
    };
    let found = storage.read_log(query).await?;
    let examined = found.examined.unwrap_or(committed);
    let end = found.end || examined >= committed;
    // What else was left out is not told apart: without a filter all of it is the groups' own.
    let left_out = (examined - before).saturating_sub(found.items.len() as u64);
    let passed = Passed { position: examined, foreign: if filtered { left_out } else { 0 } };
    let events = found.items.into_iter().filter_map(|item| match item {
        Item::Event(event) if !is_own(&event.stream) => Some(event),
        Item::Event(_) | Item::Checkpoint(_) => None,
    });
    let cursor = Cursor::Log { examined, scan, filtered };
    Ok((events.collect(), page(cursor, Some(passed), end)))
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
    use bytes::Bytes;
    use uuid::Uuid;

    fn record(position: u64, stream: &str) -> Arc<Recorded> {
        Arc::new(Recorded {
            position,
            stream: stream.into(),
            revision: position,
            id: Uuid::nil(),
            kind: "k".into(),
            is_json: false,
            created: 0,
            metadata: Bytes::new(),
            data: Bytes::new(),
        })
    }

    #[test]
    fn a_short_page_from_memory_is_the_last_one_only_if_it_reaches_what_is_committed() {
        let recent = || vec![record(5, "s"), record(6, "s")];
        for (committed, is_last) in [(6, true), (7, false)] {
            let log = recent_of_log((4, Scan::new(None), false), recent(), committed, 9).1;
            assert_eq!(log.end, is_last);
            let of_stream = recent_of_stream(("s".into(), 5, 4), recent(), committed, 9);
            assert_eq!(of_stream.unwrap().1.end, is_last);
        }
    }

    #[test]
    fn an_empty_page_from_memory_reaches_what_is_committed() {
        let log = recent_of_log((4, Scan::new(None), false), Vec::new(), 7, 9).1;
        assert!(log.end);
        assert_eq!(log.passed, Some(Passed { position: 7, foreign: 0 }));
        let (_, of_stream) = recent_of_stream(("s".into(), 5, 4), Vec::new(), 7, 9).unwrap();
        assert!(of_stream.end);
        assert!(matches!(of_stream.cursor, Cursor::Stream { at: Some(7), .. }));
    }

    #[test]
    fn what_groups_on_the_whole_log_write_is_passed_and_does_not_count() {
        let checkpoints = checkpoint_stream(ALL, "g");
        let metadata = names::metastream_of(&checkpoints);
        let recent = vec![record(5, &checkpoints), record(6, "s"), record(7, &metadata)];
        let (events, page) = recent_of_log((4, Scan::new(None), false), recent, 7, 9);
        assert_eq!(events.len(), 1);
        assert_eq!(page.passed, Some(Passed { position: 7, foreign: 0 }));
    }

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

//! Questions about the log that no client of the protocol asks, but a person who looks at it does:
//! which streams are new, which were written to lately, which events speak of an id. Each looks at a
//! bounded number of records.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use uuid::Uuid;

use super::sql;
use crate::event::Recorded;

/// Newest records in which streams that were written to lately are looked for.
const RECENT_RECORDS: u64 = 4_096;

/// Records that one search looks at.
const SEARCHED_RECORDS: u64 = 20_000;

/// Bytes of payload after which a page of what was found ends.
const FOUND_BYTES: usize = 1024 * 1024;

/// Streams that were created or written to lately, the newest first.
#[derive(Debug)]
pub(crate) struct RecentStreams {
    /// With the time of the oldest event that still stands.
    pub(crate) created: Vec<(Arc<str>, u64)>,
    pub(crate) changed: Vec<ChangedStream>,
}

/// The newest event of a stream, without what it says.
#[derive(Debug)]
pub(crate) struct ChangedStream {
    pub(crate) stream: Arc<str>,
    pub(crate) revision: u64,
    pub(crate) kind: Arc<str>,
    /// Ticks of 100 ns since 1970.
    pub(crate) created: u64,
    /// How many of the newest records of the log are this stream's.
    pub(crate) recent_events: u64,
}

/// Streams by the alphabet of their names' bytes. Metastreams are left out unless they are asked for:
/// each comes with a stream of its own.
#[derive(Debug, Clone)]
pub(crate) struct NamesQuery {
    /// How their names begin.
    pub(crate) prefix: String,
    /// The last name that is known already.
    pub(crate) after: String,
    pub(crate) limit: usize,
}

/// What is looked for: the event with an id, or any whose metadata holds a text.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) id: Option<Uuid>,
    pub(crate) text: String,
    /// Where to begin; towards the start of the log.
    pub(crate) from: u64,
    pub(crate) limit: usize,
}

#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) events: Vec<Arc<Recorded>>,
    /// Where to go on; `None` when the start of the log was reached.
    pub(crate) next: Option<u64>,
}

pub(super) fn recent_streams(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<RecentStreams> {
    Ok(RecentStreams {
        created: created_streams(connection, limit)?,
        changed: changed_streams(connection, limit)?,
    })
}

/// Metastreams are left out: each comes with a stream of its own.
fn created_streams(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<(Arc<str>, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT name, (SELECT abs(created) FROM event WHERE position = coalesce(
                         (SELECT position FROM place WHERE place.stream = stream.id
                          ORDER BY revision LIMIT 1),
                         (SELECT position FROM recent_place WHERE recent_place.stream = stream.id
                          ORDER BY revision LIMIT 1)))
         FROM stream WHERE id > (SELECT max(id) FROM stream) - ?1 AND substr(name, 1, 2) <> '$$'
         ORDER BY id DESC LIMIT ?2",
    )?;
    let rows =
        statement.query_map([sql::signed(RECENT_RECORDS), sql::signed(limit as u64)], |row| {
            let created: Option<i64> = row.get(1)?;
            Ok((row.get_ref(0)?.as_str()?.into(), sql::unsigned(created.unwrap_or(0))))
        })?;
    rows.collect()
}

fn changed_streams(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<ChangedStream>> {
    let mut statement = connection.prepare_cached(
        "SELECT revision, kind, created, name
         FROM event CROSS JOIN stream ON stream.id = event.stream
         WHERE position > (SELECT max(position) FROM event) - ?1 AND created >= 0
         ORDER BY position DESC",
    )?;
    let mut rows = statement.query([sql::signed(RECENT_RECORDS)])?;
    let mut changed: Vec<ChangedStream> = Vec::new();
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(3)?.as_str()?;
        if let Some(place) = places.get(name) {
            changed[*place].recent_events += 1;
        } else if changed.len() < limit {
            let stream: Arc<str> = name.into();
            places.insert(Arc::clone(&stream), changed.len());
            changed.push(ChangedStream {
                stream,
                revision: sql::unsigned(row.get(0)?),
                kind: row.get_ref(1)?.as_str()?.into(),
                created: sql::unsigned(row.get(2)?),
                recent_events: 1,
            });
        }
    }
    Ok(changed)
}

/// The first names after those of metastreams.
const AFTER_METASTREAMS: &str = "$%";

pub(super) fn names(connection: &Connection, query: &NamesQuery) -> rusqlite::Result<Vec<String>> {
    let NamesQuery { prefix, after, limit } = query;
    let mut found = names_between(connection, (prefix, "$$"), after, query)?;
    let from =
        if prefix.starts_with("$$") { prefix } else { prefix.as_str().max(AFTER_METASTREAMS) };
    if found.len() < *limit {
        found.extend(names_between(connection, (from, "\u{10ffff}"), after, query)?);
    }
    found.truncate(*limit);
    Ok(found)
}

fn names_between(
    connection: &Connection,
    (from, to): (&str, &str),
    after: &str,
    query: &NamesQuery,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM stream WHERE name >= ?1 AND name > ?2 AND name < ?3
         ORDER BY name LIMIT ?4",
    )?;
    let mut rows =
        statement.query(rusqlite::params![from, after, to, sql::signed(query.limit as u64)])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if !name.starts_with(&query.prefix) {
            break;
        }
        names.push(name);
    }
    Ok(names)
}

pub(super) fn search(connection: &Connection, search: &Search) -> rusqlite::Result<Found> {
    let high = match sql::newest(connection)? {
        Some((newest, _)) => newest.min(search.from),
        None => return Ok(Found { events: Vec::new(), next: None }),
    };
    let low = (high + 1).saturating_sub(SEARCHED_RECORDS).max(1);
    let mut statement = connection.prepare_cached(sql::BACKWARDS_IN_LOG)?;
    let mut rows =
        statement.query([sql::signed(low), sql::signed(high), sql::signed(SEARCHED_RECORDS)])?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let id = row.get_ref("id")?.as_blob()?;
        let is_it = search.id.is_some_and(|wanted| wanted.as_bytes() == id)
            || contains(row.get_ref("metadata")?.as_blob()?, search.text.as_bytes());
        if !is_it {
            continue;
        }
        let stream = row.get_ref("name")?.as_str()?.into();
        let event = sql::recorded(row, stream)?;
        let position = event.position;
        bytes += event.metadata.len() + event.data.len();
        events.push(Arc::new(event));
        if events.len() >= search.limit || bytes >= FOUND_BYTES {
            let next = position.checked_sub(1).filter(|next| *next > 0);
            return Ok(Found { events, next });
        }
    }
    Ok(Found { events, next: (low > 1).then(|| low - 1) })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// How many streams were ever named.
pub(super) fn count_streams(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(id), 0) FROM stream")?
        .query_row([], |row| Ok(sql::unsigned(row.get(0)?)))
}

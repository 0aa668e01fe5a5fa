//! Checking everything that the log promises, piece by piece so that a server may go on writing
//! meanwhile: the file itself, each event against its checksum, each stream's revisions, and the
//! order of positions and times.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row};

use super::checksum::Parts;
use super::sql;
use crate::event::TOMBSTONE;
use crate::maintenance::{Phase, Problem, Progress};

/// Events that one query reads.
const EVENTS: u64 = 4_096;

/// Streams that one query examines.
const STREAMS: u64 = 512;

/// Problems that are described; of further ones only the number is kept.
const DESCRIBED: usize = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) events: u64,
    pub(crate) streams: u64,
    pub(crate) problems: Vec<Problem>,
    /// How many more problems there are.
    pub(crate) more: u64,
}

impl Findings {
    fn add(&mut self, problem: Problem) {
        if self.problems.len() < DESCRIBED {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }
}

/// Checks it all. `thorough` also compares every index with its table, in one long read.
pub(crate) fn verify(
    connection: &Connection,
    thorough: bool,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<Findings> {
    let mut findings = Findings::default();
    progress(Progress { phase: Phase::File, done: 0, total: 1 });
    check_file(connection, thorough, &mut findings)?;
    check_events(connection, &mut findings, progress)?;
    check_streams(connection, &mut findings, progress)?;
    Ok(findings)
}

/// Whether the file itself is so damaged that a query ends early.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn check_file(
    connection: &Connection,
    thorough: bool,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let check = if thorough { "PRAGMA integrity_check(100)" } else { "PRAGMA quick_check(100)" };
    let mut statement = connection.prepare(check)?;
    let messages: rusqlite::Result<Vec<String>> =
        statement.query_map([], |row| row.get(0))?.collect();
    match messages {
        Ok(messages) => messages
            .into_iter()
            .filter(|message| message != "ok")
            .for_each(|message| findings.add(Problem::File(message))),
        Err(error) if is_corrupt(&error) => findings.add(Problem::File(error.to_string())),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn check_events(
    connection: &Connection,
    findings: &mut Findings,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    let mut scan = Scan { after: 0, created: 0 };
    loop {
        let total = sql::newest(connection)?.map_or(0, |(position, _)| position);
        progress(Progress { phase: Phase::Events, done: scan.after, total });
        match check_page(connection, &mut scan, findings) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if is_corrupt(&error) => {
                findings.add(Problem::Unreadable { after: scan.after, reason: error.to_string() });
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

/// How far a scan of the log has come.
struct Scan {
    after: u64,
    created: u64,
}

/// Whether there may be more.
fn check_page(
    connection: &Connection,
    scan: &mut Scan,
    findings: &mut Findings,
) -> rusqlite::Result<bool> {
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached(
        "SELECT position, revision, event.id, kind, is_json, created, metadata, data, checksum,
           name, event.stream
         FROM event LEFT JOIN stream ON stream.id = event.stream
         WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let mut rows = statement.query([sql::signed(scan.after), sql::signed(EVENTS)])?;
    let mut examined = 0;
    while let Some(row) = rows.next()? {
        examined += 1;
        findings.events += 1;
        let position = sql::position(row)?;
        scan.after = position;
        check_event(&transaction, row, scan, findings)?;
    }
    Ok(examined == EVENTS)
}

fn check_event(
    connection: &Connection,
    row: &Row<'_>,
    scan: &mut Scan,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let position = scan.after;
    let (revision, stream): (i64, i64) = (row.get(1)?, row.get(10)?);
    let Some(name) = row.get_ref(9)?.as_str_or_null().unwrap_or_default() else {
        findings.add(Problem::WithoutStream { position });
        return Ok(());
    };
    let name: Arc<str> = name.into();
    if !matches_checksum(row, &name).unwrap_or(false) {
        let revision = sql::unsigned(revision);
        findings.add(Problem::Damaged { stream: Arc::clone(&name), revision, position });
    }
    let created = row.get::<_, i64>(5)?.unsigned_abs();
    if created < scan.created {
        findings.add(Problem::Time { position });
    }
    scan.created = scan.created.max(created);
    let indexed: Option<i64> = connection
        .prepare_cached(
            "SELECT position FROM place WHERE stream = ?1 AND revision = ?2
             UNION ALL
             SELECT position FROM recent_place WHERE stream = ?1 AND revision = ?2",
        )?
        .query_row([stream, revision], |row| row.get(0))
        .optional()?;
    if indexed != Some(sql::signed(position)) {
        let revision = sql::unsigned(revision);
        findings.add(Problem::NotIndexed { stream: name, revision, position });
    }
    Ok(())
}

/// An error stands for a value of the wrong type, which is damage as well.
fn matches_checksum(row: &Row<'_>, stream: &str) -> rusqlite::Result<bool> {
    let parts = Parts {
        position: row.get(0)?,
        stream: stream.as_bytes(),
        revision: row.get(1)?,
        id: row.get_ref(2)?.as_blob()?,
        kind: row.get_ref(3)?.as_str()?.as_bytes(),
        is_json: row.get(4)?,
        created: row.get(5)?,
        metadata: row.get_ref(6)?.as_blob()?,
        data: row.get_ref(7)?.as_blob()?,
    };
    Ok(row.get_ref(8)?.as_blob()? == parts.checksum())
}

fn check_streams(
    connection: &Connection,
    findings: &mut Findings,
    progress: &mut dyn FnMut(Progress),
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT id, name, first FROM stream WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut after = 0;
    loop {
        let total = connection
            .query_row("SELECT coalesce(max(id), 0) FROM stream", [], |row| row.get(0))
            .map(sql::unsigned)?;
        progress(Progress { phase: Phase::Streams, done: sql::unsigned(after), total });
        let mut rows = statement.query([after, sql::signed(STREAMS)])?;
        let mut examined = 0;
        loop {
            let checked = match rows.next() {
                Ok(Some(row)) => {
                    examined += 1;
                    findings.streams += 1;
                    after = row.get(0)?;
                    check_stream(connection, row, findings)
                }
                Ok(None) => break,
                Err(error) => Err(error),
            };
            match checked {
                Ok(()) => {}
                Err(error) if is_corrupt(&error) => {
                    findings.add(Problem::File(error.to_string()));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if examined < STREAMS {
            return Ok(());
        }
    }
}

fn check_stream(
    connection: &Connection,
    row: &Row<'_>,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let id: i64 = row.get(0)?;
    let Ok(name) = row.get_ref(1)?.as_str() else {
        findings.add(Problem::File(format!("the name of stream number {id} is not text")));
        return Ok(());
    };
    let stream: Arc<str> = name.into();
    let begin = sql::unsigned(row.get(2)?);
    let Places { all, missing, tombstoned, ends } = places(connection, id)?;
    if missing > 0 {
        findings.add(Problem::Missing { stream: Arc::clone(&stream), events: missing });
    }
    let events = all - u64::from(tombstoned);
    let Some((first, last)) = ends else {
        if !tombstoned {
            findings.add(Problem::Empty { stream });
        }
        return Ok(());
    };
    if first != begin {
        findings.add(Problem::Beginning { stream: Arc::clone(&stream), first, expected: begin });
    }
    if last - first + 1 != events {
        findings.add(Problem::Gap { stream, first, last, events });
    }
    Ok(())
}

/// What the index says of a stream.
struct Places {
    all: u64,
    /// How many of them lead to no event.
    missing: u64,
    tombstoned: bool,
    /// The first revision and the last, without a tombstone.
    ends: Option<(u64, u64)>,
}

fn places(connection: &Connection, stream: i64) -> rusqlite::Result<Places> {
    connection
        .prepare_cached(
            "SELECT count(*), count(*) - count(event.position), coalesce(max(place.revision) = ?2, 0),
               min(place.revision),
               max(CASE WHEN place.revision < ?2 THEN place.revision END)
             FROM (SELECT revision, position FROM place WHERE stream = ?1
                   UNION ALL
                   SELECT revision, position FROM recent_place WHERE stream = ?1) AS place
               LEFT JOIN event ON event.position = place.position",
        )?
        .query_row([stream, sql::signed(TOMBSTONE)], |row| {
            let number = |column| row.get(column).map(sql::unsigned);
            let ends: (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            let ends = ends.0.zip(ends.1);
            Ok(Places {
                all: number(0)?,
                missing: number(1)?,
                tombstoned: row.get(2)?,
                ends: ends.map(|(first, last)| (sql::unsigned(first), sql::unsigned(last))),
            })
        })
}

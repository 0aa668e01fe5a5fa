//! Looking through a write-ahead log before `SQLite` does: what it will bring into the database,
//! what it will cut off, and whether that is right. `SQLite` reads it up to the first record that
//! does not match its checksum and drops the rest without a word. After a crash that is the commit
//! nobody was told about; in a log that was damaged since, it may be a thousand answered ones.
//!
//! A record ("frame") is the new content of one page. The last one of a commit is marked. Each
//! carries a checksum over everything before it, so that from the checksum of one record the next
//! can be checked, whatever lies further ahead. A record of a later commit is written only when
//! fsync has brought the commit before it to the disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// First four bytes; the lowest bit says in which byte order words are added up.
const MAGIC: u32 = 0x377f_0682;

/// What a write-ahead log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// Complete commits.
    pub(super) commits: u64,
    /// Bytes up to the end of the last of them.
    pub(super) bytes: u64,
    /// Bytes after it that belong to a commit that was not completed.
    pub(super) cut: u64,
    /// Where it is damaged although what follows was committed later.
    pub(super) damaged_at: Option<u64>,
}

/// Reads the whole file, a record at a time. `None` if there is no file.
pub(super) fn examine(path: &Path) -> io::Result<Option<Found>> {
    match File::open(path) {
        Ok(file) => Scan::new(BufReader::with_capacity(256 * 1024, file))?.run().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes so many bytes of the file again, as they are, and brings them to the disk. What an fsync
/// failed to bring there can still be read, but no later fsync would try it again.
pub(super) fn write_again(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut piece = vec![0; 256 * 1024];
    let mut at = 0;
    while at < bytes {
        let length = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(piece.len());
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut piece[..length])?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&piece[..length])?;
        at += length as u64;
    }
    file.sync_all()
}

/// The running checksum.
type Sum = (u32, u32);

struct Scan<R> {
    source: R,
    header: [u8; HEADER],
    /// Bytes of the header that there are.
    length: usize,
    /// The record that was read last: its own header and its page.
    frame: Vec<u8>,
}

impl<R: Read> Scan<R> {
    fn new(mut source: R) -> io::Result<Self> {
        let mut header = [0; HEADER];
        let length = read_fully(&mut source, &mut header)?;
        Ok(Self { source, header, length, frame: Vec::new() })
    }

    fn run(mut self) -> io::Result<Found> {
        if self.length < HEADER {
            return Ok(Found { cut: self.length as u64, ..Found::default() });
        }
        let page = word(&self.header, 8) as usize;
        let sound = word(&self.header, 0) & !1 == MAGIC
            && page.is_power_of_two()
            && (512..=65_536).contains(&page)
            && is_sound(&self.header);
        self.frame = vec![0; FRAME_HEADER + if sound { page } else { 0 }];
        if sound { self.frames() } else { self.without_header() }
    }

    fn frames(&mut self) -> io::Result<Found> {
        let size = self.frame.len() as u64;
        let mut end = HEADER as u64;
        let mut found = Found { bytes: end, ..Found::default() };
        let (mut sum, mut written, mut after_commit) = (pair(&self.header, 24), end, false);
        let mut broken_at = None;
        while self.next()? {
            let current = self.is_current();
            let valid = current && self.sum(sum) == pair(&self.frame, 16);
            if valid && after_commit && broken_at.is_some() {
                return Ok(Found { damaged_at: broken_at, ..found });
            }
            if !valid && broken_at.is_none() {
                broken_at = Some(end);
            }
            end += size;
            if current {
                written = end;
                sum = pair(&self.frame, 16);
            }
            after_commit = valid && word(&self.frame, 4) > 0;
            if after_commit && broken_at.is_none() {
                found.commits += 1;
                found.bytes = end;
            }
        }
        found.cut = written - found.bytes;
        Ok(found)
    }

    /// A header that was being written when the power went is no loss: what follows it is older, and
    /// in the database already. One that fits what follows was damaged.
    fn without_header(&mut self) -> io::Result<Found> {
        let mut found = Found { cut: HEADER as u64, ..Found::default() };
        if self.next()? {
            let salts = &self.frame[8..16];
            let mut mended = self.header;
            mended[16..24].copy_from_slice(salts);
            let fits = salts == &self.header[16..24] || is_sound(&mended);
            if fits && salts != [0; 8] {
                found.damaged_at = Some(0);
            }
        }
        Ok(found)
    }

    /// Reads the next record; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        Ok(read_fully(&mut self.source, &mut self.frame)? == self.frame.len())
    }

    /// Whether the record was written after the header: the log is used again from its beginning,
    /// under a new header, and older records stay behind the new ones.
    fn is_current(&self) -> bool {
        self.frame[8..16] == self.header[16..24] && word(&self.frame, 0) > 0
    }

    /// The checksum of the record, after records with this one.
    fn sum(&self, before: Sum) -> Sum {
        let big_endian = is_big_endian(&self.header);
        add(big_endian, add(big_endian, before, &self.frame[..8]), &self.frame[FRAME_HEADER..])
    }
}

fn is_sound(header: &[u8; HEADER]) -> bool {
    add(is_big_endian(header), (0, 0), &header[..24]) == pair(header, 24)
}

fn is_big_endian(header: &[u8; HEADER]) -> bool {
    word(header, 0) & 1 == 1
}

fn add(big_endian: bool, sum: Sum, bytes: &[u8]) -> Sum {
    let number = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    let (mut first, mut second) = sum;
    for words in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
        first = first.wrapping_add(number(words[0])).wrapping_add(second);
        second = second.wrapping_add(number(words[1])).wrapping_add(first);
    }
    (first, second)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn pair(bytes: &[u8], at: usize) -> Sum {
    (word(bytes, at), word(bytes, at + 4))
}

/// Reads until the buffer is full or the file ends. How many bytes.
fn read_fully(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    /// A log as `SQLite` writes it, with so many commits of several records each.
    fn log(commits: u32) -> Vec<u8> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        for number in 0..commits {
            connection
                .execute_batch(&format!(
                    "CREATE TABLE t{number} (a); INSERT INTO t{number} VALUES (zeroblob(9000))"
                ))
                .unwrap();
        }
        std::fs::read(directory.path().join("db-wal")).unwrap()
    }

    fn found(log: &[u8]) -> Found {
        Scan::new(log).unwrap().run().unwrap()
    }

    #[test]
    fn a_complete_log_is_counted() {
        let log = log(3);
        let commits = 6;
        let bytes = log.len() as u64;
        assert_eq!(found(&log), Found { commits, bytes, cut: 0, damaged_at: None });
    }

    #[test]
    fn a_log_that_ends_anywhere_is_no_damage() {
        let log = log(2);
        let mut commits = 0;
        for end in (0..log.len()).step_by(97) {
            let found = found(&log[..end]);
            assert_eq!(found.damaged_at, None, "{end}");
            assert!(found.commits >= commits);
            commits = found.commits;
        }
    }

    #[test]
    fn a_tail_of_zeros_is_no_damage() {
        let log = log(2);
        for from in (32..log.len()).step_by(499) {
            let mut log = log.clone();
            log[from..].fill(0);
            assert_eq!(found(&log).damaged_at, None, "{from}");
        }
    }

    #[test]
    fn damage_before_later_commits_is_noticed_wherever_it_is() {
        let log = log(8);
        // The last two commits cannot be told from one that was not completed.
        let frame = 4_096 + 24;
        let last = log.len() - 6 * frame;
        for at in (0..last).step_by(61).chain(0..60) {
            let mut log = log.clone();
            log[at] ^= 0x10;
            assert!(found(&log).damaged_at.is_some_and(|found| found <= at as u64), "{at}");
        }
    }
}

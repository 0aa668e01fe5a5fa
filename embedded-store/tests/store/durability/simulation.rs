//! A disk's memory, from a recording of everything that was done to its files: what would still be
//! there if the power went at some moment.
//!
//! What was brought to the disk with fsync is there. Of what was written since, any part may be
//! there: nothing, everything, the beginning, some writes without others, a write up to some byte
//! or some of its sectors, zeros where a file grew but its content did not arrive, or garbage in a
//! sector that was being written. Names of files that were created or deleted since the directory
//! was brought to the disk are there up to some moment, in order. After a failed fsync, what it was
//! to bring to the disk never gets there, though whoever reads it still sees it.

use std::ops::Range;
use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;

/// As `faulty_disk.c` numbers them; what has no name here is not played.
const NAMES: [&str; 7] = [
    "events.sqlite",
    "events.sqlite-wal",
    "events.sqlite-shm",
    "events.sqlite-journal",
    "",
    "",
    "events.sqlite.new",
];
const INDEX: usize = 2;
const DIRECTORY: usize = 5;
const SECTOR: usize = 512;

/// One operation of a recording.
#[derive(Debug, Clone)]
struct Operation {
    file: usize,
    change: Change,
    /// Where its record ends, which is the time of this disk.
    time: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Create,
    Unlink,
    /// The file of that number gets the name.
    Rename(usize),
    Write(usize, Vec<u8>),
    Truncate(usize),
    Sync,
    FailedSync,
}

/// A recording, as `faulty_disk.c` writes it.
pub(super) struct Recording(Vec<Operation>);

impl Recording {
    pub(super) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (mut operations, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let head = &bytes[at..at + 24];
            let number = |from: usize| u64::from_ne_bytes(head[from..from + 8].try_into().unwrap());
            let offset = usize::try_from(number(8)).unwrap();
            let length = usize::try_from(number(16)).unwrap();
            let content = &bytes[at + 24..at + 24 + length];
            at += 24 + length;
            let change = match head[1] {
                b'C' => Change::Create,
                b'U' => Change::Unlink,
                b'N' => Change::Rename(offset),
                b'W' => Change::Write(offset, content.to_vec()),
                b'T' => Change::Truncate(offset),
                b'S' => Change::Sync,
                b'E' => Change::FailedSync,
                other => panic!("a record of kind {other}"),
            };
            operations.push(Operation { file: head[2].into(), change, time: at as u64 });
        }
        Self(operations)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A file's content, whatever its name is by now.
#[derive(Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// The disk at some moment of a recording.
pub(super) struct Machine<'a> {
    recording: &'a Recording,
    /// How many operations were done.
    done: usize,
    inodes: Vec<Inode>,
    /// What each name stands for now, and what it stands for on the disk.
    names: [Option<usize>; NAMES.len()],
    durable_names: [Option<usize>; NAMES.len()],
    pending_names: Vec<(usize, Option<usize>)>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(recording: &'a Recording) -> Self {
        Self {
            recording,
            done: 0,
            inodes: Vec::new(),
            names: [None; NAMES.len()],
            durable_names: [None; NAMES.len()],
            pending_names: Vec::new(),
        }
    }

    /// Goes on until so many operations are done. The time then.
    pub(super) fn advance(&mut self, operations: usize) -> u64 {
        while self.done < operations {
            let Operation { file, change, .. } = self.recording.0[self.done].clone();
            self.done += 1;
            if file == DIRECTORY {
                if matches!(change, Change::Sync) {
                    for (name, inode) in self.pending_names.drain(..) {
                        self.durable_names[name] = inode;
                    }
                }
            } else if !NAMES[file].is_empty() && file != INDEX {
                self.perform(file, change);
            }
        }
        self.done.checked_sub(1).map_or(0, |last| self.recording.0[last].time)
    }

    fn perform(&mut self, name: usize, change: Change) {
        match change {
            Change::Create => {
                self.inodes.push(Inode::default());
                self.names[name] = Some(self.inodes.len() - 1);
                self.pending_names.push((name, self.names[name]));
                return;
            }
            Change::Unlink => {
                self.names[name] = None;
                self.pending_names.push((name, None));
                return;
            }
            Change::Rename(from) => {
                self.names[name] = self.names[from].take();
                self.pending_names.push((name, self.names[name]));
                self.pending_names.push((from, None));
                return;
            }
            Change::Write(..) | Change::Truncate(_) | Change::Sync | Change::FailedSync => {}
        }
        let inode = &mut self.inodes[self.names[name].expect("a file without a name")];
        match change {
            Change::Sync => {
                for change in std::mem::take(&mut inode.pending) {
                    apply(&mut inode.durable, &change);
                }
            }
            Change::FailedSync => inode.pending.clear(),
            Change::Create
            | Change::Unlink
            | Change::Rename(_)
            | Change::Write(..)
            | Change::Truncate(_) => {
                inode.pending.push(change);
            }
        }
    }

    /// Leaves in a directory what is there when the power goes now. How it was chosen, in words.
    pub(super) fn lose_power(&self, directory: &Path, random: &mut StdRng) -> String {
        let mut names = self.durable_names;
        let kept = random.random_range(0..=self.pending_names.len());
        for (name, inode) in &self.pending_names[..kept] {
            names[*name] = *inode;
        }
        let mut story =
            format!("after {} operations, {kept} of {} names", self.done, self.pending_names.len());
        for (name, inode) in names.iter().enumerate() {
            let Some(inode) = inode.map(|inode| &self.inodes[inode]) else { continue };
            let (content, how) = remains(inode, random);
            story = format!("{story}; {}: {} pending, {how}", NAMES[name], inode.pending.len());
            std::fs::write(directory.join(NAMES[name]), content).unwrap();
        }
        // Never brought to the disk, and worth nothing after a start: it may hold anything.
        if random.random_bool(0.3) {
            let mut content = vec![0; random.random_range(0..70_000)];
            random.fill(&mut content[..]);
            std::fs::write(directory.join(NAMES[INDEX]), content).unwrap();
        }
        story
    }
}

/// What of a file is there after a loss of power.
fn remains(inode: &Inode, random: &mut StdRng) -> (Vec<u8>, &'static str) {
    let mut content = inode.durable.clone();
    let pending = &inode.pending;
    match random.random_range(0..7) {
        0 => (content, "nothing"),
        1 => {
            for change in pending {
                apply(&mut content, change);
            }
            (content, "everything")
        }
        2 => {
            let kept = random.random_range(0..=pending.len());
            for change in &pending[..kept] {
                apply(&mut content, change);
            }
            if let Some(Change::Write(offset, bytes)) = pending.get(kept) {
                let end = random.random_range(0..=bytes.len());
                overwrite(&mut content, *offset, &bytes[..end]);
            }
            (content, "the beginning, torn")
        }
        3 => {
            let share = random.random_range(0.0..1.0);
            for change in pending.iter().filter(|_| random.random_bool(share)) {
                apply(&mut content, change);
            }
            (content, "some")
        }
        4 => {
            for change in pending {
                for_sectors(change, random, |sector, new, there| {
                    if there {
                        overwrite(&mut content, sector.start, new);
                    } else {
                        grow(&mut content, sector.end);
                    }
                });
            }
            (content, "some sectors, zeros where it grew")
        }
        5 => {
            let mut garbage = [0; SECTOR];
            random.fill(&mut garbage[..]);
            for change in pending {
                for_sectors(change, random, |sector, new, there| {
                    // What is written again as it was cannot become anything else.
                    let same = inode.durable.get(sector.clone()) == Some(new);
                    let bytes = if there || same { new } else { &garbage[..new.len()] };
                    overwrite(&mut content, sector.start, bytes);
                });
            }
            (content, "some sectors, garbage in the others")
        }
        _ => {
            for change in pending {
                if let Change::Write(offset, bytes) = change {
                    grow(&mut content, offset + bytes.len());
                }
            }
            (content, "zeros where it grew")
        }
    }
}

/// Each sector that a write touches, what was to be written to it, and whether it was.
fn for_sectors(
    change: &Change,
    random: &mut StdRng,
    mut act: impl FnMut(Range<usize>, &[u8], bool),
) {
    let Change::Write(offset, bytes) = change else { return };
    let share = random.random_range(0.3..1.0);
    let mut at = 0;
    while at < bytes.len() {
        let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
        let end = end.min(bytes.len());
        act(offset + at..offset + end, &bytes[at..end], random.random_bool(share));
        at = end;
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => overwrite(content, *offset, bytes),
        Change::Truncate(length) => content.resize(*length, 0),
        Change::Create | Change::Unlink | Change::Rename(_) | Change::Sync | Change::FailedSync => {
        }
    }
}

fn grow(content: &mut Vec<u8>, length: usize) {
    if content.len() < length {
        content.resize(length, 0);
    }
}

fn overwrite(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    grow(content, offset + bytes.len());
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

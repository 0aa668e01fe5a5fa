//! The events of a whole log, partitioned by stream, in bounded memory.
//!
//! Everything here blocks and uses nothing but `std`'s files: call it on threads that may block.
//!
//! Events are pushed in the order of the log, each to the partition of its stream, and read back
//! partition by partition. They wait in compressed blocks (`block`), in memory first. When the
//! budget is used up, all blocks are appended to files, one per partition (`file`). A checkpoint
//! writes everything down, and then a `manifest` that says how far; whatever happens, a later
//! [`Partitions::resume`] has exactly what was pushed up to the last checkpoint.

mod block;
mod error;
mod event;
mod file;
mod manifest;
mod routing;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;

use journal::Position;

use self::block::{Blocks, Sealer};
pub(crate) use self::error::SpillError;
pub(crate) use self::event::RawEvent;
use self::file::{BlockFile, Directory};
use self::manifest::{Extent, Manifest};
pub(crate) use self::routing::{MOST_PARTITIONS, folded_bytes, partition_of, partitions_for};

/// A block is full at so many bytes of events, if the budget allows for blocks of this size …
const BLOCK: usize = 256 << 10;
/// … and not smaller than this: smaller ones hardly compress.
const SMALLEST_BLOCK: usize = 4 << 10;
/// What events become when they are compressed, roughly; for saying how much room they need.
const COMPRESSED_TO: u64 = 4;

/// What partitions are opened with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whose events these are: of which log, and which of them. What is found in a directory is
    /// only gone on with if this is the same.
    pub(crate) identity: String,
    /// How much memory may be used, all in all.
    pub(crate) budget_bytes: usize,
    /// How many bytes of events are to be expected, if that is known, and else 0. For saying how
    /// much room on the disk is needed.
    pub(crate) expected_bytes: u64,
}

/// Events by partition.
#[derive(Debug)]
pub(crate) struct Partitions {
    directory: Directory,
    settings: Settings,
    all: Vec<Partition>,
    sealer: Sealer,
    block_bytes: usize,
    /// Memory in use, and the most that ever was.
    memory: usize,
    peak: usize,
    /// Bytes on disk.
    written: u64,
    events: u64,
}

/// Where one partition's events are, in the order of the log.
#[derive(Debug)]
struct Partition {
    /// First those on disk …
    file: BlockFile,
    /// … then compressed blocks in memory …
    sealed: Vec<Box<[u8]>>,
    /// … and then the block that is being filled.
    open: Vec<u8>,
}

/// What a directory was left with.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) partitions: Partitions,
    /// Everything up to and including this is there; to be gone on with after it.
    pub(crate) position: Position,
}

impl Partitions {
    /// Begins with nothing in `directory`. What an earlier build has left there is removed.
    ///
    /// # Errors
    /// [`SpillError::Foreign`] when something else is there; then nothing is touched.
    pub(crate) fn open(
        directory: &Path,
        count: usize,
        settings: Settings,
    ) -> Result<Self, SpillError> {
        Self::check_budget(count, &settings)?;
        let directory = Directory::take(directory)?;
        directory.clear()?;
        Ok(Self::new(directory, settings, vec![Extent::default(); count], 0))
    }

    /// Goes on with what is in `directory` as of its last checkpoint. What was written after that
    /// is cut off. The number of partitions is the one it was opened with.
    ///
    /// # Errors
    /// [`SpillError::NothingToResume`], [`SpillError::Torn`] and [`SpillError::Foreign`] say why
    /// it has to be begun anew. Nothing has been changed then.
    pub(crate) fn resume(directory: &Path, settings: Settings) -> Result<Resumed, SpillError> {
        let directory = Directory::take(directory)?;
        let manifest = Manifest::read(&directory)?;
        manifest.check(&directory, &settings.identity)?;
        Self::check_budget(manifest.partitions.len(), &settings)?;
        let Manifest { position, events, partitions: extents, .. } = manifest;
        // First look at everything, and only then cut.
        for (number, extent) in extents.iter().enumerate() {
            BlockFile::at(&directory, number, *extent).verify()?;
        }
        let mut partitions = Self::new(directory, settings, extents, events);
        for partition in &mut partitions.all {
            partition.file.cut()?;
        }
        Ok(Resumed { partitions, position })
    }

    fn new(directory: Directory, settings: Settings, extents: Vec<Extent>, events: u64) -> Self {
        let block_bytes = block_bytes(extents.len(), settings.budget_bytes);
        let written = extents.iter().map(|extent| extent.bytes).sum();
        let partition = |(number, extent)| {
            let file = BlockFile::at(&directory, number, extent);
            Partition { file, sealed: vec![], open: vec![] }
        };
        let all = extents.into_iter().enumerate().map(partition).collect();
        let sealer = Sealer::new(block_bytes);
        let memory = sealer.bytes();
        Self {
            directory,
            settings,
            all,
            sealer,
            block_bytes,
            memory,
            peak: memory,
            written,
            events,
        }
    }

    fn check_budget(count: usize, settings: &Settings) -> Result<(), SpillError> {
        assert!((1..=MOST_PARTITIONS).contains(&count), "{count} partitions");
        let needed = 3 * count * SMALLEST_BLOCK + Sealer::bytes_for(SMALLEST_BLOCK);
        let budget = settings.budget_bytes;
        if budget < needed { Err(SpillError::SmallBudget { budget, needed }) } else { Ok(()) }
    }

    /// How many partitions there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// How many events have been pushed, before a resume as well.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Memory in use now.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory
    }

    /// The most memory that has been in use. Never above the budget, unless a single event is
    /// larger than what the budget leaves for one: it has to be somewhere.
    #[cfg(test)]
    pub(crate) fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// Bytes that are on disk.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written
    }

    /// Adds an event to the end of a partition.
    ///
    /// # Errors
    /// When the disk fails or is full. Nothing is lost by that: the event has not been added,
    /// what was there before still is, and pushing it again is the way to try again.
    pub(crate) fn push(&mut self, partition: usize, event: RawEvent<'_>) -> Result<(), SpillError> {
        let bytes = event.encoded_bytes();
        let open = &self.all[partition].open;
        if !open.is_empty() && open.len() + bytes > self.block_bytes {
            self.seal(partition)?;
        }
        if self.all[partition].open.capacity() == 0 {
            self.make_room(bytes.max(self.block_bytes) + self.sealer.margin_for(bytes))?;
            let room = bytes.max(self.block_bytes);
            self.all[partition].open = Vec::with_capacity(room);
            self.take_memory(room);
        } else if bytes > self.block_bytes {
            self.make_room(bytes + self.sealer.margin_for(bytes))?;
            let room = bytes - self.all[partition].open.capacity();
            self.all[partition].open.reserve_exact(bytes);
            self.take_memory(room);
        }
        event.encode(&mut self.all[partition].open);
        self.events += 1;
        Ok(())
    }

    /// Compresses the block that is being filled.
    fn seal(&mut self, number: usize) -> Result<(), SpillError> {
        let raw = self.all[number].open.len();
        if raw == 0 {
            return Ok(());
        }
        // What it may become at worst; usually it will be much less.
        let margin = self.sealer.margin_for(raw);
        self.make_room(margin)?;
        self.peak = self.peak.max(self.memory + margin);
        let partition = &mut self.all[number];
        let sealed = self.sealer.seal(&partition.open);
        let sealed = sealed.map_err(|error| SpillError::of(partition.file.path(), None, error))?;
        let bytes = sealed.len();
        partition.sealed.push(sealed);
        partition.open.clear();
        // The buffer stays for the next block, unless an event made it larger than a block is.
        let freed = if partition.open.capacity() > self.block_bytes {
            std::mem::take(&mut partition.open).capacity()
        } else {
            0
        };
        self.take_memory(bytes);
        self.memory -= freed;
        Ok(())
    }

    fn take_memory(&mut self, bytes: usize) {
        self.memory += bytes;
        self.peak = self.peak.max(self.memory);
    }

    /// Writes all compressed blocks to disk if there would not be room for `bytes` otherwise.
    fn make_room(&mut self, bytes: usize) -> Result<(), SpillError> {
        if self.memory + bytes > self.settings.budget_bytes { self.write() } else { Ok(()) }
    }

    /// Appends all compressed blocks to their files.
    fn write(&mut self) -> Result<(), SpillError> {
        for number in 0..self.all.len() {
            let partition = &mut self.all[number];
            let blocks = std::mem::take(&mut partition.sealed);
            match partition.file.append(&blocks) {
                Ok(()) => {
                    let bytes: usize = blocks.iter().map(|block| block.len()).sum();
                    self.memory -= bytes;
                    self.written += bytes as u64;
                }
                Err(error) => {
                    partition.sealed = blocks;
                    return Err(self.not_written(number, error));
                }
            }
        }
        Ok(())
    }

    fn not_written(&self, number: usize, error: std::io::Error) -> SpillError {
        let waiting = self.all.iter().flat_map(|partition| &partition.sealed);
        let waiting: u64 = waiting.map(|block| block.len() as u64).sum();
        let expected = self.settings.expected_bytes / COMPRESSED_TO;
        let needed = waiting.max(expected.saturating_sub(self.written));
        let path = self.all[number].file.path();
        SpillError::of(path, Some(needed), error)
    }

    /// Makes what has been pushed so far durable, as everything up to `position`. Blocks end here,
    /// so it is not for every batch.
    pub(crate) fn checkpoint(&mut self, position: Position) -> Result<(), SpillError> {
        for number in 0..self.all.len() {
            self.seal(number)?;
        }
        self.write()?;
        for number in 0..self.all.len() {
            let synced = self.all[number].file.sync();
            synced.map_err(|error| self.not_written(number, error))?;
        }
        let extents = self.all.iter().map(|partition| partition.file.extent()).collect();
        tracing::debug!(%position, written = self.written, peak_memory = self.peak, "put aside");
        Manifest::new(&self.settings.identity, position, self.events, extents)
            .write(&self.directory)
    }

    /// The events of a partition in the order of the log, block by block. Reading several
    /// partitions at once, on several threads, is fine.
    ///
    /// Memory: a block, compressed and not, for each that is being read; about 512 KiB.
    pub(crate) fn read(&self, partition: usize) -> Result<Blocks<'_>, SpillError> {
        let Partition { file, sealed, open } = &self.all[partition];
        Ok(Blocks::new(file.path().to_owned(), file.read()?, sealed, open))
    }

    /// A file for rows that `partition` is folded to and that memory has no room for. It is gone when
    /// it is closed. To be asked for by one thread at a time.
    pub(crate) fn file_for_rows(&self, partition: usize) -> Result<File, SpillError> {
        self.directory.file_for_rows(partition)
    }

    /// Where all files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Removes everything, from disk as well.
    pub(crate) fn discard(self) -> Result<(), SpillError> {
        drop(self.all);
        self.directory.remove()
    }
}

/// Removes what is in `directory`, unless somebody uses it or something else is there.
pub(crate) fn remove(directory: &Path) -> Result<(), SpillError> {
    if directory.is_dir() { Directory::take(directory)?.remove() } else { Ok(()) }
}

/// How large blocks are: so that all that are being filled take a third of the budget at most.
fn block_bytes(count: usize, budget: usize) -> usize {
    let size = |budget: usize| (budget / 3 / count).clamp(SMALLEST_BLOCK, BLOCK);
    // The larger the block, the larger what it takes to compress it.
    size(budget.saturating_sub(Sealer::bytes_for(size(budget))))
}

//! The directory, and the files of blocks in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::SpillError;
use super::block::{HEADER, Header};
use super::manifest::Extent;

const LOCK: &str = "lock";
pub(super) const MANIFEST: &str = "manifest";
pub(super) const NEW_MANIFEST: &str = "manifest.new";
const PARTITION: &str = "partition-";
const ROWS: &str = "rows-";

/// A directory that is ours alone, until this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes `path`, which is made if it does not exist.
    pub(super) fn take(path: &Path) -> Result<Self, SpillError> {
        let wrong = |error| SpillError::of(path, Some(0), error);
        // Customers' data lie here, and the folder may be everybody's.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(wrong)?;
        for entry in fs::read_dir(path).map_err(wrong)? {
            let name = entry.map_err(wrong)?.file_name();
            if !name.to_str().is_some_and(is_ours) {
                let reason = format!("{} is not of a build", name.display());
                return Err(SpillError::Foreign { directory: path.to_owned(), reason });
            }
        }
        let mut lock = OpenOptions::new();
        let lock = lock.create(true).truncate(false).write(true);
        let lock = lock.open(path.join(LOCK)).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SpillError::InUse { directory: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes all files but the lock. The manifest goes first: without it, nothing counts.
    pub(super) fn clear(&self) -> Result<(), SpillError> {
        let wrong = |error| SpillError::of(&self.path, None, error);
        match fs::remove_file(self.path.join(MANIFEST)) {
            Ok(()) => self.sync()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(error)),
        }
        for entry in fs::read_dir(&self.path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            if entry.file_name() != LOCK {
                fs::remove_file(entry.path()).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Removes all files, and the directory unless somebody else has put something into it.
    pub(super) fn remove(self) -> Result<(), SpillError> {
        self.clear()?;
        let wrong = |error| SpillError::of(&self.path, None, error);
        fs::remove_file(self.path.join(LOCK)).map_err(wrong)?;
        match fs::remove_dir(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(error) => Err(wrong(error)),
        }
    }

    /// A file for the rows that partition `number` is folded to, for one thread at a time. It has no
    /// name any more, so it is gone when it is closed.
    pub(super) fn file_for_rows(&self, number: usize) -> Result<File, SpillError> {
        let path = self.path.join(format!("{ROWS}{number}"));
        let wrong = |error| SpillError::of(&path, Some(0), error);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).read(true).write(true);
        let file = options.open(&path).map_err(wrong)?;
        fs::remove_file(&path).map_err(wrong)?;
        Ok(file)
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> Result<(), SpillError> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| SpillError::of(&self.path, Some(0), error))
    }
}

fn is_ours(name: &str) -> bool {
    [LOCK, MANIFEST, NEW_MANIFEST].contains(&name)
        || [PARTITION, ROWS].iter().any(|ours| name.starts_with(ours))
}

/// The blocks of one partition on disk.
#[derive(Debug)]
pub(super) struct BlockFile {
    path: PathBuf,
    extent: Extent,
    /// From the first write on.
    file: Option<File>,
    unsynced: bool,
    /// What was written may be lost, although it can still be read.
    broken: bool,
}

impl BlockFile {
    /// The file of partition `number`, of which `extent` counts.
    pub(super) fn at(directory: &Directory, number: usize, extent: Extent) -> Self {
        let path = directory.path().join(format!("{PARTITION}{number:05}"));
        Self { path, extent, file: None, unsynced: false, broken: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// Adds `blocks`, all or none: what a failed attempt has left is written over by the next.
    pub(super) fn append(&mut self, blocks: &[Box<[u8]>]) -> io::Result<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        let mut extent = self.extent;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                let options = options.create(true).truncate(false).write(true);
                none.insert(options.open(&self.path)?)
            }
        };
        file.seek(SeekFrom::Start(extent.bytes))?;
        self.unsynced = true;
        for block in blocks {
            file.write_all(block)?;
            extent.bytes += block.len() as u64;
            if let Some(header) = block.first_chunk::<HEADER>() {
                extent.chain = chained(extent.chain, Header::from_bytes(*header));
            }
        }
        self.extent = extent;
        Ok(())
    }

    /// Closes the file; the next write opens it again.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.file = None;
    }

    /// Makes what was written durable. Once that has failed it fails for ever: the system forgets
    /// what it could not write, and would not complain a second time.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("what was written before did not reach the disk"));
        }
        if std::mem::take(&mut self.unsynced)
            && let Some(file) = &self.file
        {
            let synced = file.sync_data();
            self.broken = synced.is_err();
            synced?;
        }
        Ok(())
    }

    /// What counts of it, for reading.
    pub(super) fn read(&self) -> Result<Option<(File, u64)>, SpillError> {
        if self.extent.bytes == 0 {
            return Ok(None);
        }
        match File::open(&self.path) {
            Ok(file) => Ok(Some((file, self.extent.bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SpillError::torn(&self.path, "it is missing"))
            }
            Err(error) => Err(SpillError::of(&self.path, None, error)),
        }
    }

    /// Looks whether everything that counts is there: all blocks, but not yet what is in them.
    pub(super) fn verify(&self) -> Result<(), SpillError> {
        let Some((mut file, bytes)) = self.read()? else { return Ok(()) };
        let wrong = |error| SpillError::of(&self.path, None, error);
        let there = file.metadata().map_err(wrong)?.len();
        if there < bytes {
            let reason = format!("it has {there} bytes of {bytes}");
            return Err(SpillError::torn(&self.path, reason));
        }
        let mut found = Extent::default();
        while found.bytes < bytes {
            let mut header = [0; HEADER];
            file.seek(SeekFrom::Start(found.bytes)).map_err(wrong)?;
            match file.read_exact(&mut header) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(wrong(error)),
            }
            let header = Header::from_bytes(header);
            found.bytes += HEADER as u64 + u64::from(header.compressed);
            found.chain = chained(found.chain, header);
        }
        if found == self.extent {
            Ok(())
        } else {
            Err(SpillError::torn(&self.path, "its blocks are not those that were written"))
        }
    }

    /// Cuts off what does not count.
    pub(super) fn cut(&mut self) -> Result<(), SpillError> {
        let wrong = |error| SpillError::of(&self.path, None, error);
        let file = match OpenOptions::new().write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(wrong(error)),
        };
        file.set_len(self.extent.bytes).map_err(wrong)
    }
}

/// The checksum of a sequence of blocks that ends with the one of `header`.
fn chained(chain: u64, header: Header) -> u64 {
    XxHash3_64::oneshot_with_seed(chain, &header.checksum.to_le_bytes())
}

//! How far the files count: written last at each checkpoint, and looked for first at a resume.

use std::fs::{self, File};
use std::io::{self, Write};

use journal::Position;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::SpillError;
use super::file::{Directory, MANIFEST, NEW_MANIFEST};
use super::routing::MOST_PARTITIONS;

/// Raised whenever blocks, files or routing change, so that older ones are not understood wrongly.
const FORMAT: u32 = 1;

/// What counts of a partition's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    /// So many bytes, from the beginning.
    pub(super) bytes: u64,
    /// The checksum of the checksums of all blocks in them.
    pub(super) chain: u64,
}

/// What was there at a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    identity: String,
    pub(super) position: Position,
    pub(super) events: u64,
    pub(super) partitions: Vec<Extent>,
}

impl Manifest {
    pub(super) fn new(
        identity: &str,
        position: Position,
        events: u64,
        partitions: Vec<Extent>,
    ) -> Self {
        Self { format: FORMAT, identity: identity.to_owned(), position, events, partitions }
    }

    /// Puts it in the place of the one before, all at once. What it speaks of must be durable.
    pub(super) fn write(&self, directory: &Directory) -> Result<(), SpillError> {
        let (new, path) = (directory.path().join(NEW_MANIFEST), directory.path().join(MANIFEST));
        let wrong = |error| SpillError::of(&path, Some(0), error);
        let json = serde_json::to_string(self).map_err(|error| wrong(error.into()))?;
        let text = format!("{:016x}\n{json}", checksum(&json));
        let mut file = File::create(&new).map_err(wrong)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
        fs::rename(&new, &path).map_err(wrong)?;
        directory.sync()
    }

    pub(super) fn read(directory: &Directory) -> Result<Self, SpillError> {
        let path = directory.path().join(MANIFEST);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = directory.path().to_owned();
                return Err(SpillError::NothingToResume { directory });
            }
            Err(error) => return Err(SpillError::of(&path, None, error)),
        };
        let torn = |reason: &str| SpillError::torn(&path, reason);
        let text = str::from_utf8(&bytes).map_err(|_| torn("it is not text"))?;
        let (sum, json) = text.split_once('\n').ok_or_else(|| torn("it is cut off"))?;
        if sum != format!("{:016x}", checksum(json)) {
            return Err(torn("its checksum is wrong"));
        }
        // The checksum is right, so it is whole: another build has written it.
        serde_json::from_str(json).map_err(|error| SpillError::Foreign {
            directory: directory.path().to_owned(),
            reason: format!("its manifest is another build's: {error}"),
        })
    }

    /// Whether it speaks of the same events, put aside in the same way.
    pub(super) fn check(&self, directory: &Directory, identity: &str) -> Result<(), SpillError> {
        let reason = if self.format != FORMAT {
            format!("it has format {}, not {FORMAT}", self.format)
        } else if self.identity != identity {
            format!("it is about {}, not {identity}", self.identity)
        } else if !(1..=MOST_PARTITIONS).contains(&self.partitions.len()) {
            format!("it has {} partitions", self.partitions.len())
        } else {
            return Ok(());
        };
        Err(SpillError::Foreign { directory: directory.path().to_owned(), reason })
    }
}

fn checksum(json: &str) -> u64 {
    XxHash3_64::oneshot(json.as_bytes())
}

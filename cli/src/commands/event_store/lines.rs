//! `export` and `import`: lines of JSON, gzipped if the file's name says so.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embedded_store::maintenance::{self, MaintenanceError, Selection};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::place::{Place, watch};
use crate::output::say;

/// Name of standard input and output.
const STANDARD: &str = "-";

fn is_zipped(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// One event per line, in the order of the log: position, stream, revision, id, type, isJson, created,
/// metadata and data. These two are JSON where that gives the same bytes again, and else
/// `metadataBase64` and `dataBase64`. The store may be running.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// File to write, or `-`; gzipped if it ends in .gz
    file: PathBuf,
    /// Begin with this position of the log
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    from_position: u64,
    /// Only streams whose names begin with this, and their metadata
    #[arg(long, value_name = "PREFIX")]
    stream_prefix: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let directory = self.place.resolve()?;
        let selection =
            Selection { from_position: self.from_position, stream_prefix: self.stream_prefix };
        if self.file == Path::new(STANDARD) {
            let mut out = BufWriter::new(io::stdout());
            watch(move |progress| maintenance::export(&directory, selection, &mut out, progress))
                .await?;
            return Ok(());
        }
        let file = self.file.clone();
        let count = watch(move |progress| {
            export_to(&file, |out| maintenance::export(&directory, selection, out, progress))
        });
        say(format!("{} events in {}", count.await?, self.file.display()));
        Ok(())
    }
}

/// The file appears under its name when it is complete and on the disk.
fn export_to(
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<u64, MaintenanceError>,
) -> Result<u64, MaintenanceError> {
    let failed = |source| MaintenanceError::File { path: file.to_owned(), source };
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let mut unfinished =
        tempfile::NamedTempFile::with_prefix_in(".export-", parent).map_err(failed)?;
    let mut out = BufWriter::new(unfinished.as_file_mut());
    let count = if is_zipped(file) {
        let mut zipped = GzEncoder::new(&mut out, Compression::default());
        let count = write(&mut zipped)?;
        zipped.finish().map_err(failed)?;
        count
    } else {
        write(&mut out)?
    };
    out.flush().map_err(failed)?;
    drop(out);
    unfinished.as_file().sync_all().map_err(failed)?;
    unfinished.persist(file).map_err(|error| failed(error.error))?;
    Ok(count)
}

/// The store must not be running; to bring lines into a running one, use `copy --from FILE`.
///
/// All lines are checked before the first is written. In an empty store events keep their positions
/// and times; in one with a history they come after it. What is there already, with the same id at the
/// same place, is recognised: an import that was interrupted goes on when it is repeated.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// File to read, or `-`; gzipped if it ends in .gz
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let directory = self.place.resolve()?;
        let mut source = LineSource::new(&self.file)?;
        let imported =
            watch(move |progress| maintenance::import(&directory, &mut || source.open(), progress));
        let imported = imported.await?;
        say(format!("{} events imported, {} were there", imported.written, imported.known));
        Ok(())
    }
}

/// Lines that are read more than once.
#[derive(Debug)]
pub(super) enum LineSource {
    File(PathBuf),
    /// What came on standard input, kept for the second time.
    Kept(File),
}

impl LineSource {
    pub(super) fn new(file: &Path) -> anyhow::Result<Self> {
        if file != Path::new(STANDARD) {
            return Ok(Self::File(file.to_owned()));
        }
        let mut kept = tempfile::tempfile().context("standard input cannot be kept")?;
        io::copy(&mut io::stdin().lock(), &mut kept).context("standard input cannot be read")?;
        Ok(Self::Kept(kept))
    }

    pub(super) fn open(&mut self) -> io::Result<Box<dyn BufRead>> {
        match self {
            Self::File(path) => {
                let file = File::open(&path)?;
                Ok(if is_zipped(path) {
                    Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(file))))
                } else {
                    Box::new(BufReader::new(file))
                })
            }
            Self::Kept(file) => {
                let mut file = file.try_clone()?;
                io::Seek::rewind(&mut file)?;
                Ok(Box::new(BufReader::new(file)))
            }
        }
    }
}

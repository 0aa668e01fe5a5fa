//! Where a store on embedded defaults keeps its data, and how other commands find it running.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Which data directory.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Location {
    /// Folder of a store on embedded defaults: event store, Postgres, master key, development token.
    /// Default: `.orderstore` in the current folder, or `/var/lib/orderstore` when started as root
    /// in a folder that the database's user may not enter
    #[arg(long, value_name = "FOLDER", env = "ORDERSTORE_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

/// What a running store tells other commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) api: String,
    /// Where the embedded event store is. None if another one was chosen: its address is not kept, for
    /// it may hold a password.
    pub(crate) event_store: Option<String>,
    /// Where the simulated partners are, if they are simulated.
    pub(crate) partners: Option<String>,
}

impl Location {
    pub(crate) fn resolve(&self) -> anyhow::Result<DataDir> {
        if let Some(path) = &self.data_dir {
            return Ok(DataDir(std::path::absolute(path)?));
        }
        let here = std::env::current_dir().context("the current folder does not exist")?;
        if rustix::process::geteuid().is_root() && !others_may_enter(&here) {
            return Ok(DataDir(PathBuf::from("/var/lib/orderstore")));
        }
        Ok(DataDir(here.join(".orderstore")))
    }
}

/// Whether any user may enter `folder`. PostgreSQL refuses to run as root, so another user does.
fn others_may_enter(folder: &Path) -> bool {
    folder.ancestors().all(|it| fs::metadata(it).is_ok_and(|it| it.mode() & 0o001 != 0))
}

impl DataDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn event_store(&self) -> PathBuf {
        self.0.join("event-store")
    }

    /// States of long streams; may go at any time.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.0.join("postgres")
    }

    pub(crate) fn partners(&self) -> PathBuf {
        self.0.join("partners")
    }

    /// The master key of personal data; whoever has it and the event store can read them.
    pub(crate) fn master_key_file(&self) -> PathBuf {
        self.0.join("master-key")
    }

    fn token_file(&self) -> PathBuf {
        self.0.join("development-token")
    }

    fn running_file(&self) -> PathBuf {
        self.0.join("running.json")
    }

    pub(crate) fn create(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.0).with_context(|| format!("cannot create {}", self.0.display()))
    }

    /// ` --data-dir …` if a command has to be told, nothing if it finds this folder by itself.
    pub(crate) fn as_argument(&self) -> String {
        let default = Location { data_dir: None }.resolve();
        let is_default = default.is_ok_and(|default| default.0 == self.0);
        if is_default { String::new() } else { format!(" --data-dir {}", self.0.display()) }
    }

    /// Writes the token that other commands use.
    pub(crate) fn write_token(&self, token: &str) -> anyhow::Result<()> {
        self.create()?;
        write_private(&self.token_file(), token.as_bytes())
    }

    /// Tells other commands where the store is and how to be let in.
    pub(crate) fn announce(&self, running: &Running, token: &str) -> anyhow::Result<()> {
        self.write_token(token)?;
        write_private(&self.running_file(), &serde_json::to_vec_pretty(running)?)
    }

    /// Takes the announcement back.
    pub(crate) fn withdraw(&self) {
        // A left-over only makes a later command say that nobody answers.
        let _ = fs::remove_file(self.running_file());
    }

    /// What the store that runs here said last.
    pub(crate) fn running(&self) -> Option<Running> {
        serde_json::from_slice(&fs::read(self.running_file()).ok()?).ok()
    }

    /// The token of the store that runs here.
    pub(crate) fn token(&self) -> Option<String> {
        Some(fs::read_to_string(self.token_file()).ok()?.trim().to_owned())
    }
}

fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let unfinished = path.with_extension("new");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

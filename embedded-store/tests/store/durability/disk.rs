//! The disk that fails on demand (`faulty_disk.c`): building it, giving it to a process, telling it
//! what to do.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::soon;

/// `errno` of an input/output error.
pub(super) const EIO: u64 = 5;
/// `errno` of a full disk.
pub(super) const ENOSPC: u64 = 28;

/// For a fault that does not end.
pub(super) const FOR_EVER: u64 = u64::MAX;

/// What happens to an operation, as `faulty_disk.c` numbers it.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Action {
    Nothing = 0,
    Fail = 1,
    /// Only a part is written, and the caller told so.
    Short = 2,
    DieBefore = 3,
    DieWithin = 4,
    DieAfter = 5,
}

pub(super) mod op {
    pub(in super::super) const WRITE: u64 = 1;
    pub(in super::super) const SYNC: u64 = 2;
    pub(in super::super) const TRUNCATE: u64 = 4;
    pub(in super::super) const UNLINK: u64 = 8;
    pub(in super::super) const OPEN: u64 = 16;
    pub(in super::super) const READ: u64 = 32;
    /// Everything that changes the disk.
    pub(in super::super) const CHANGES: u64 = WRITE | SYNC | TRUNCATE | UNLINK;
}

pub(super) mod file {
    pub(in super::super) const DATABASE: u64 = 1;
    pub(in super::super) const LOG: u64 = 2;
    pub(in super::super) const INDEX: u64 = 4;
    /// The names of the files.
    pub(in super::super) const DIRECTORY: u64 = 32;
    pub(in super::super) const ANY: u64 = 127;
}

/// Which operations are hit, after how many that are spared, how often, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) action: Action,
    pub(super) operations: u64,
    pub(super) files: u64,
    pub(super) skip: u64,
    pub(super) count: u64,
    pub(super) error: u64,
}

impl Fault {
    pub(super) fn fail(operations: u64, files: u64, error: u64) -> Self {
        Self { action: Action::Fail, operations, files, skip: 0, count: FOR_EVER, error }
    }

    pub(super) fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    pub(super) fn once(self) -> Self {
        Self { count: 1, ..self }
    }
}

/// A directory on a disk that obeys.
pub(super) struct Disk {
    home: TempDir,
    data: PathBuf,
    control: File,
}

impl Disk {
    /// A disk without faults, on which fsync costs nothing: what it would keep is the test's
    /// business. `None`, with a reason, where there is no such thing.
    pub(super) fn new() -> Option<Self> {
        library()?;
        let home = TempDir::new().unwrap();
        let root = home.path().canonicalize().unwrap();
        let control = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(root.join("control"))
            .unwrap();
        let disk = Self { data: root.join("data"), home, control };
        std::fs::create_dir(&disk.data).unwrap();
        (0..13).for_each(|field| disk.set(field, 0));
        disk.limit(None);
        Some(disk)
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Where the changes are recorded.
    pub(super) fn record(&self) -> PathBuf {
        self.home.path().join("record")
    }

    /// The directory stays for whoever looks into a failure.
    pub(super) fn keep(self) -> PathBuf {
        self.home.keep()
    }

    /// Puts a process on this disk.
    pub(super) fn give_to(&self, process: &mut Command, recording: bool) {
        process
            .env("LD_PRELOAD", library().unwrap())
            .env("FAULTY_DISK_DIRECTORY", &self.data)
            .env("FAULTY_DISK_CONTROL", self.home.path().join("control"));
        if recording {
            process.env("FAULTY_DISK_RECORD", self.record());
        }
    }

    /// From now on, also for a process that runs.
    pub(super) fn set_fault(&self, fault: Fault) {
        self.set(0, Action::Nothing as u64);
        self.set(1, fault.operations);
        self.set(2, fault.files);
        self.set(3, fault.skip);
        self.set(4, fault.count);
        self.set(5, fault.error);
        self.set(8, 0);
        self.set(9, 0);
        self.set(0, fault.action as u64);
    }

    pub(super) fn heal(&self) {
        self.set(0, Action::Nothing as u64);
    }

    /// When this returns, nothing is being done to the disk and nothing is begun any more. A kill
    /// in the middle of an operation would leave what was done and what was recorded different.
    pub(super) async fn hold_still(&self) {
        self.set(11, 1);
        soon(async {
            while self.get(12) != 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(super) fn go_on(&self) {
        self.set(11, 0);
    }

    /// Whether no fault is set.
    pub(super) fn is_well(&self) -> bool {
        self.get(0) == Action::Nothing as u64
    }

    /// How many bytes files may grow by; `None` for any number.
    pub(super) fn limit(&self, space: Option<u64>) {
        self.set(6, space.map_or(u64::MAX, |space| space));
    }

    /// How many operations the fault has hit.
    pub(super) fn hit(&self) -> u64 {
        self.get(9)
    }

    /// How many writes were refused for lack of space.
    pub(super) fn refused(&self) -> u64 {
        self.get(10)
    }

    fn set(&self, field: u64, value: u64) {
        self.control.write_all_at(&value.to_ne_bytes(), field * 8).unwrap();
    }

    fn get(&self, field: u64) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, field * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }
}

/// Compiles the library once per run of the tests.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: only Linux lets a library stand between a process and its disk");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/durability/faulty_disk.c");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Under a name of its own first: another run of the tests may be using the library.
    let unfinished = directory.join(format!("faulty_disk-{}.so", std::process::id()));
    let library = directory.join("faulty_disk.so");
    let written = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if written(&library) > written(&source) {
        return Some(library);
    }
    let built = std::process::Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&unfinished, &source])
        .args(["-ldl", "-lpthread"])
        .status()
        .expect("a C compiler is needed (cc)");
    assert!(built.success(), "faulty_disk.c does not compile");
    std::fs::rename(unfinished, &library).unwrap();
    Some(library)
}

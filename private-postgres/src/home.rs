//! The data directory: what lies where in it, who may touch it, and the lock that keeps it to one
//! process. Nothing here starts a program.
//!
//! ```text
//! <data_dir>/lock           held by the process that runs the cluster; contains its id
//! <data_dir>/cluster        Postgres's own folder (mode 0700)
//! <data_dir>/cluster.new    the same while initdb fills it; renamed when complete
//! <data_dir>/socket         the Unix socket (mode 0700), unless its path would be too long
//! <data_dir>/postgres.log   what the server said
//! ```

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::account::Account;

/// Name of the socket file: the port is only a part of this name.
pub(crate) const SOCKET_FILE: &str = ".s.PGSQL.5432";

/// Linux allows 107 bytes for a socket's path and macOS 103.
const LONGEST_SOCKET_PATH: usize = 99;

/// A log larger than this many bytes is set aside at the next start; one old log is kept.
const LARGEST_LOG: u64 = 10 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) cluster: PathBuf,
    pub(crate) unfinished: PathBuf,
    pub(crate) socket_dir: PathBuf,
    pub(crate) log: PathBuf,
}

/// Held for the life of a cluster; the system releases it when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Home {
    /// The layout for `data_dir`, which need not exist.
    pub(crate) fn of(data_dir: &Path) -> Self {
        let dir = resolved(data_dir);
        Self {
            cluster: dir.join("cluster"),
            unfinished: dir.join("cluster.new"),
            socket_dir: socket_dir_for(&dir),
            log: dir.join("postgres.log"),
            dir,
        }
    }

    /// Creates the data directory where it is missing. A new or empty one is given to the account
    /// whole; one that holds other things is left as it is.
    pub(crate) fn prepare(data_dir: &Path) -> Result<(Self, Account), Error> {
        let fresh = !data_dir.exists();
        fs::create_dir_all(data_dir).map_err(Error::file("create", data_dir))?;
        let home = Self::of(data_dir);
        let account = Account::for_cluster(&home.cluster)?;
        if fresh {
            set_private(&home.dir)?;
        }
        if is_empty(&home.dir)? {
            account.own(&home.dir)?;
        }
        account.check_may_enter(&home.dir)?;
        Ok((home, account))
    }

    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let path = self.dir.join("lock");
        let failed = |source| Error::file("lock", &path)(source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let pid = file.read_to_string(&mut holder).ok().and(holder.trim().parse().ok());
                return Err(Error::InUse { data_dir: self.dir.clone(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Lock { _file: file })
    }

    pub(crate) fn has_cluster(&self) -> bool {
        self.cluster.join("PG_VERSION").exists()
    }

    /// An empty folder for initdb; what an interrupted one left is thrown away.
    pub(crate) fn begin_cluster(&self, account: &Account) -> Result<(), Error> {
        remove_folder(&self.unfinished)?;
        make_private(&self.unfinished)?;
        account.own(&self.unfinished)
    }

    /// Makes the folder initdb has filled the cluster, in one step that survives a power cut.
    pub(crate) fn finish_cluster(&self) -> Result<(), Error> {
        fs::rename(&self.unfinished, &self.cluster)
            .map_err(Error::file("rename", &self.unfinished))?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(Error::file("write", &self.dir))
    }

    /// An empty socket folder that only the account may enter.
    ///
    /// Call this under the lock and with no server left over: it removes the sockets in it.
    pub(crate) fn prepare_socket_dir(&self, account: &Account) -> Result<(), Error> {
        let dir = &self.socket_dir;
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            // In a folder everybody may write, somebody else may have been first.
            Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => {
                let meta = fs::symlink_metadata(dir).map_err(Error::file("read", dir))?;
                let owners = [account.uid(), rustix::process::geteuid().as_raw()];
                if !meta.is_dir() || !owners.contains(&meta.uid()) {
                    return Err(Error::NotOurs { path: dir.clone() });
                }
            }
            Err(source) => return Err(Error::file("create", dir)(source)),
        }
        set_private(dir)?;
        account.own(dir)?;
        for name in [SOCKET_FILE.to_owned(), format!("{SOCKET_FILE}.lock")] {
            remove_file(&dir.join(name))?;
        }
        account.check_may_enter(dir)
    }

    /// Opens the log for appending; also tells its length, where this start's lines begin.
    pub(crate) fn open_log(&self) -> Result<(File, u64), Error> {
        let failed = |source| Error::file("open", &self.log)(source);
        let length = fs::metadata(&self.log).map_or(0, |meta| meta.len());
        if length > LARGEST_LOG {
            fs::rename(&self.log, self.dir.join("postgres.log.1")).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(failed)?;
        let begin = file.metadata().map_err(failed)?.len();
        Ok((file, begin))
    }

    /// The last lines of the log from byte `begin` on, for an error message.
    pub(crate) fn log_tail(&self, begin: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(begin))?;
            log.read_to_end(&mut text)
        });
        match read {
            Ok(0) => "(it said nothing)".to_owned(),
            Ok(_) => last_lines(&String::from_utf8_lossy(&text)),
            Err(_) => "(the log cannot be read)".to_owned(),
        }
    }

    /// Removes the socket folder if it lies outside the data directory.
    pub(crate) fn remove_outside_socket_dir(&self) {
        if !self.socket_dir.starts_with(&self.dir) {
            // Best effort: a folder that stays is empty and found again at the next start.
            let _ = fs::remove_dir_all(&self.socket_dir);
        }
    }
}

/// Where the server of `data_dir` listens: `<data_dir>/socket`, or, when that path is too long for
/// a socket or cannot stand in a URL, a folder of the system's temporary one whose name follows from `data_dir` alone.
///
/// The directory need not exist, and need not be free of symbolic links if it does.
pub fn socket_dir_for(data_dir: &Path) -> PathBuf {
    let dir = resolved(data_dir);
    let inside = dir.join("socket");
    if fits_a_socket(&inside) {
        return inside;
    }
    let name = format!("orderstore-{:016x}", fingerprint(dir.as_os_str()));
    let temporary = std::env::temp_dir().join(&name);
    if fits_a_socket(&temporary) { temporary } else { Path::new("/tmp").join(name) }
}

/// A path that is not text cannot be written into a URL, and clients take one with a comma for a
/// list of hosts.
fn fits_a_socket(dir: &Path) -> bool {
    dir.to_str().is_some_and(|dir| {
        dir.len() + 1 + SOCKET_FILE.len() <= LONGEST_SOCKET_PATH && !dir.contains(',')
    })
}

/// FNV-1a with 64 bits: the same in every process and release, unlike the standard hasher.
fn fingerprint(text: &OsStr) -> u64 {
    text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

pub(crate) fn last_lines(text: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Creates a folder nobody else may enter; fails if there is one already.
pub(crate) fn make_private(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().mode(0o700).create(dir).map_err(Error::file("create", dir))
}

fn set_private(dir: &Path) -> Result<(), Error> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .map_err(Error::file("change the mode of", dir))
}

fn is_empty(dir: &Path) -> Result<bool, Error> {
    let mut entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
    Ok(entries.next().is_none())
}

fn remove_folder(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(failed) if failed.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", dir)(failed))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(failed) if failed.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(failed))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_data_directory_holds_its_own_socket() {
        assert_eq!(socket_dir_for(Path::new("/data/pg")), Path::new("/data/pg/socket"));
    }

    #[test]
    fn a_long_data_directory_gets_a_short_socket_folder_of_its_own() {
        let (one, two) = (format!("/{}/one", "x".repeat(120)), format!("/{}/two", "x".repeat(120)));
        let [one, again, two] = [&one, &one, &two].map(|dir| socket_dir_for(Path::new(dir)));

        assert!(fits_a_socket(&one), "{}", one.display());
        assert_eq!(one, again);
        assert_ne!(one, two);
    }

    #[test]
    fn a_data_directory_no_url_can_carry_gets_a_socket_folder_that_one_can() {
        for odd in [b"/data/\xff".as_slice(), b"/data/a,b"] {
            let odd = Path::new(OsStr::from_bytes(odd));
            assert!(!socket_dir_for(odd).starts_with(odd), "{}", odd.display());
        }
    }

    #[test]
    fn the_socket_folder_is_the_same_through_a_symbolic_link() {
        let base = tempfile::tempdir().unwrap();
        let (real, link) = (base.path().join("real"), base.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(socket_dir_for(&real), socket_dir_for(&link));
    }

    #[test]
    fn only_the_last_lines_of_a_log_are_quoted() {
        let text = (1..=50).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let tail = last_lines(&text);
        assert!(tail.starts_with("line 31\n") && tail.ends_with("line 50"), "{tail}");
    }
}

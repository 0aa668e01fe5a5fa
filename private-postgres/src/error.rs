//! What can go wrong, in words for the person at the terminal. No rules here.

use std::io;
use std::path::PathBuf;

use crate::OLDEST_MAJOR;

/// Why a private cluster could not be found, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server binaries anywhere we look.
    #[error(
        "no PostgreSQL server found: install PostgreSQL {OLDEST_MAJOR} or later \
         (Debian, Ubuntu: `sudo apt-get install postgresql`; \
         Fedora, RHEL: `sudo dnf install postgresql-server`; \
         macOS: `brew install postgresql@17`), \
         or set PG_BINDIR to the folder that holds `postgres` and `initdb`, \
         or set DATABASE_URL to use a running server instead"
    )]
    Missing,

    /// The directory that was asked for holds no server.
    #[error(
        "no `postgres` and `initdb` in {}: set PG_BINDIR to the folder that holds both, \
         or unset it to search the usual places", dir.display()
    )]
    NoServerIn {
        /// The directory that was given.
        dir: PathBuf,
    },

    /// Only servers older than [`OLDEST_MAJOR`] were found.
    #[error(
        "PostgreSQL {major} in {} is too old: install PostgreSQL {OLDEST_MAJOR} or later \
         (Debian, Ubuntu: `sudo apt-get install postgresql`; \
         Fedora, RHEL: `sudo dnf install postgresql-server`; \
         macOS: `brew install postgresql@17`), \
         or set DATABASE_URL to use a running server instead", dir.display()
    )]
    TooOld {
        /// Where it was found.
        dir: PathBuf,
        /// Its major version.
        major: u32,
    },

    /// `postgres --version` could not be run or said something else.
    #[error("{} does not tell its version: is it a PostgreSQL server for this machine?", program.display())]
    NoVersion {
        /// The program that was asked.
        program: PathBuf,
        /// Why it could not be run, where that was the reason.
        source: Option<io::Error>,
    },

    /// A live process holds this data directory.
    #[error(
        "{} is in use by process {}: stop it, or choose another data directory",
        data_dir.display(),
        pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
    )]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The process that holds it, where it could be read.
        pid: Option<u32>,
    },

    /// We are root, the server may not be, and the user it runs as cannot reach its files.
    #[error(
        "PostgreSQL must not run as root and runs as user {user} instead, who may not enter {}, \
         which leads to {}: choose a data directory whose parent folders everybody may enter \
         (such as /var/lib/orderstore), or start orderstore as an ordinary user",
        blocked.display(), wanted.display()
    )]
    NotTraversable {
        /// The folder or program the server needs.
        wanted: PathBuf,
        /// The first folder on the way that is closed.
        blocked: PathBuf,
        /// Name or number of the user.
        user: String,
    },

    /// We are root and neither `postgres` nor `nobody` exists.
    #[error(
        "PostgreSQL must not run as root, and this machine has neither a user postgres nor nobody: \
         create one, or start orderstore as an ordinary user"
    )]
    NoServerAccount,

    /// A folder that must be ours belongs to somebody else.
    #[error(
        "{} belongs to another user: choose another data directory, or start as that user",
        path.display()
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },

    /// The cluster was made by another major version; files are not compatible.
    #[error(
        "{} was made by PostgreSQL {made_by}, but the installed server is {installed}: \
         set PG_BINDIR to a PostgreSQL {made_by}, or delete the folder to begin with an empty one",
        cluster.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        cluster: PathBuf,
        /// Content of its `PG_VERSION`.
        made_by: String,
        /// Major version of the binaries in use.
        installed: u32,
    },

    /// A server left running by a killed process does not stop.
    #[error(
        "process {pid}, a server left running on {}, does not stop: end it by hand", cluster.display()
    )]
    LeftOverStays {
        /// The process that stays.
        pid: i32,
        /// The cluster's folder.
        cluster: PathBuf,
    },

    /// A file or folder could not be made, read or changed.
    #[error("could not {doing} {}", path.display())]
    File {
        /// A verb: "create", "read".
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// A program could not be run at all.
    #[error("could not run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// `initdb` ended with an error.
    #[error("could not create a cluster in {}; initdb said:\n{output}", cluster.display())]
    Initdb {
        /// The folder it was to create.
        cluster: PathBuf,
        /// Its last lines of output.
        output: String,
    },

    /// The server ended, or did not accept connections in time.
    #[error("PostgreSQL did not start; the last lines of {}:\n{tail}", log.display())]
    Start {
        /// The server's log.
        log: PathBuf,
        /// Its last lines since this start.
        tail: String,
    },

    /// The server runs but refused to create or open the database.
    #[error("PostgreSQL refused to open its database: {message} (see {})", log.display())]
    Database {
        /// The server's log.
        log: PathBuf,
        /// The server's answer.
        message: String,
    },

    /// The server ignored both a fast and an immediate shutdown request.
    #[error("PostgreSQL, process {pid}, does not stop: end it by hand")]
    Stop {
        /// The process that stays.
        pid: i32,
    },
}

impl Error {
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    pub(crate) fn run(program: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let program = program.into();
        move |source| Self::Run { program, source }
    }
}

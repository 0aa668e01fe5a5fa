//! Finding an installed Postgres server and its version. Nothing here starts one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, OLDEST_MAJOR};

/// Folders that hold one folder per installed major version, and how a version's folder is named:
/// Debian and Ubuntu, the Postgres project's RPMs, Alpine, Homebrew on Apple and Intel machines.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// The folder of an installed Postgres server of version 15 or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds a server: in `given` if there is one (and then nowhere else), else where
    /// `pg_config --bindir` points, else in the versioned folders of the common packages with the
    /// highest version first, else on the search path.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::TooOld`] say what to install; [`Error::NoServerIn`] and
    /// [`Error::NoVersion`] are about a folder that was given.
    pub fn find(given: Option<PathBuf>) -> Result<Self, Error> {
        if let Some(dir) = given {
            return Self::in_given(dir);
        }
        let places = pg_config_bindir().into_iter().chain(versioned_folders()).chain(search_path());
        Self::first_usable(places)
    }

    /// The folder that holds `postgres` and `initdb`, and in most packages `psql` too.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server's major version, such as 17.
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    fn in_given(dir: PathBuf) -> Result<Self, Error> {
        if !holds_server(&dir) {
            return Err(Error::NoServerIn { dir });
        }
        let major = version_in(&dir)?;
        if major < OLDEST_MAJOR {
            return Err(Error::TooOld { dir, major });
        }
        Ok(Self { dir, major })
    }

    fn first_usable(places: impl IntoIterator<Item = PathBuf>) -> Result<Self, Error> {
        let mut best_refusal = Error::Missing;
        for dir in places.into_iter().filter(|dir| holds_server(dir)) {
            match Self::in_given(dir) {
                Ok(found) => return Ok(found),
                Err(refusal) => best_refusal = refusal,
            }
        }
        Err(best_refusal)
    }
}

fn holds_server(dir: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|name| is_program(&dir.join(name)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn version_in(dir: &Path) -> Result<u32, Error> {
    let program = dir.join("postgres");
    let answer = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
    match answer {
        Ok(answer) => major_version(&String::from_utf8_lossy(&answer.stdout))
            .ok_or(Error::NoVersion { program, source: None }),
        Err(source) => Err(Error::NoVersion { program, source: Some(source) }),
    }
}

/// Reads `postgres (Postgres) 15.18 (Debian …)`, and also `19devel` and `18beta1`.
fn major_version(answer: &str) -> Option<u32> {
    let (_, version) = answer.split_once("(PostgreSQL) ")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn pg_config_bindir() -> Option<PathBuf> {
    let answer = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output().ok()?;
    let dir = String::from_utf8(answer.stdout).ok()?;
    let dir = dir.trim();
    (!dir.is_empty()).then(|| PathBuf::from(dir))
}

fn versioned_folders() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = VERSIONED
        .iter()
        .flat_map(|(parent, prefix, bin)| versions_in(Path::new(parent), prefix, bin))
        .collect();
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, dir)| dir).collect()
}

fn versions_in(parent: &Path, prefix: &str, bin: &str) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let major = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join(bin)))
        })
        .collect()
}

/// The folders of the search path with symlinks resolved: `initdb` looks for its other files
/// beside the real program.
fn search_path() -> Vec<PathBuf> {
    let Some(path) = std::env::var_os("PATH") else { return Vec::new() };
    std::env::split_paths(&path)
        .filter_map(|dir| fs::canonicalize(dir.join("postgres")).ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake_server(dir: &Path, version: &str) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        for name in ["postgres", "initdb"] {
            let path = dir.join(name);
            fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir.to_owned()
    }

    #[test]
    fn the_major_version_is_read_from_every_kind_of_release() {
        let releases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", 15),
            ("postgres (PostgreSQL) 18beta1\n", 18),
            ("postgres (PostgreSQL) 19devel\n", 19),
        ];
        for (answer, major) in releases {
            assert_eq!(major_version(answer), Some(major), "{answer}");
        }
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn without_any_server_the_error_says_what_to_install_and_how_to_do_without() {
        let text = Binaries::first_usable([PathBuf::from("/nowhere")]).unwrap_err().to_string();
        for hint in [
            "PostgreSQL 15 or later",
            "apt-get install postgresql",
            "dnf install postgresql-server",
            "brew install postgresql@17",
            "PG_BINDIR",
            "DATABASE_URL",
        ] {
            assert!(text.contains(hint), "{hint:?} is not in {text}");
        }
    }

    #[test]
    fn a_server_that_is_too_old_is_passed_over_and_named_only_if_no_other_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let old = fake_server(&folder.path().join("old"), "postgres (PostgreSQL) 14.9");
        let new = fake_server(&folder.path().join("new"), "postgres (PostgreSQL) 16.1");

        let found = Binaries::first_usable([old.clone(), new.clone()]).unwrap();
        assert_eq!((found.dir(), found.major()), (new.as_path(), 16));

        let refusal = Binaries::first_usable([old]).unwrap_err();
        assert!(matches!(refusal, Error::TooOld { major: 14, .. }), "{refusal}");
        assert!(refusal.to_string().contains("PostgreSQL 15 or later"), "{refusal}");
    }

    #[test]
    fn versioned_folders_are_numbers_after_the_prefix_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pgsql-15", "pgsql-9", "pgsql-x", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut found = versions_in(folder.path(), "pgsql-", "bin");
        found.sort();
        let expected =
            [9, 15].map(|major| (major, folder.path().join(format!("pgsql-{major}")).join("bin")));
        assert_eq!(found, expected);
    }
}

//! Which user the server runs as: ours, or, because Postgres refuses root, another one.
//! Nothing here creates files; it answers whether that user can reach them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

const ROOT: u32 = 0;

/// Users to run the server as when we are root, in order of preference.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The user that owns the cluster and runs the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user we are.
    Ours,
    /// We are root and the server runs as this one.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// The account for the cluster folder `cluster`, which need not exist yet.
    /// An existing one keeps its owner: Postgres starts for nobody else.
    pub(crate) fn for_cluster(cluster: &Path) -> Result<Self, Error> {
        let owner = match fs::symlink_metadata(cluster) {
            Ok(meta) => Some((meta.uid(), meta.gid())),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::file("read", cluster)(source)),
        };
        let we_are = rustix::process::geteuid().as_raw();
        match owner {
            None if we_are == ROOT => Self::first_candidate(),
            Some((uid, gid)) if we_are == ROOT && uid != ROOT => {
                Ok(Self::Other { name: uid.to_string(), uid, gid })
            }
            Some((uid, _)) if uid != we_are || we_are == ROOT => {
                Err(Error::NotOurs { path: cluster.to_owned() })
            }
            None | Some(_) => Ok(Self::Ours),
        }
    }

    pub(crate) fn first_candidate() -> Result<Self, Error> {
        if rustix::process::geteuid().as_raw() != ROOT {
            return Ok(Self::Ours);
        }
        CANDIDATES
            .iter()
            .find_map(|name| {
                let (uid, gid) = (id_of("-u", name)?, id_of("-g", name)?);
                Some(Self::Other { name: (*name).to_owned(), uid, gid })
            })
            .ok_or(Error::NoServerAccount)
    }

    pub(crate) fn uid(&self) -> u32 {
        match self {
            Self::Ours => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => *uid,
        }
    }

    /// Makes `command` run as this user, in a folder every user may enter.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.current_dir("/");
        match self {
            Self::Ours => {}
            Self::Other { uid, gid, .. } => {
                command.uid(*uid).gid(*gid);
            }
        }
    }

    /// Gives `path` to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid, .. } => lchown(path, Some(*uid), Some(*gid))
                .map_err(Error::file("change the owner of", path)),
        }
    }

    /// Fails with the first folder on the way to and including `folder` that this user may not
    /// enter. Only permission bits are looked at, not access control lists.
    pub(crate) fn check_may_enter(&self, folder: &Path) -> Result<(), Error> {
        let Self::Other { name, uid, gid } = self else { return Ok(()) };
        match first_closed(folder, *uid, *gid)? {
            None => Ok(()),
            Some(blocked) => Err(Error::NotTraversable {
                wanted: folder.to_owned(),
                blocked,
                user: name.clone(),
            }),
        }
    }
}

fn first_closed(folder: &Path, uid: u32, gid: u32) -> Result<Option<PathBuf>, Error> {
    let mut from_the_root: Vec<&Path> = folder.ancestors().collect();
    from_the_root.reverse();
    for folder in from_the_root {
        let meta = fs::metadata(folder).map_err(Error::file("read", folder))?;
        let enter = if meta.uid() == uid {
            0o100
        } else if meta.gid() == gid {
            0o010
        } else {
            0o001
        };
        if meta.mode() & enter == 0 {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}

/// Asks `id`, which also knows users that no file lists (LDAP, macOS).
fn id_of(which: &str, user: &str) -> Option<u32> {
    let answer = Command::new("id").args([which, user]).stdin(Stdio::null()).output().ok()?;
    String::from_utf8(answer.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_closed_folder_on_the_way_is_named() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = base.path().join("closed");
        let inner = closed.join("inner");
        fs::create_dir_all(&inner).unwrap();
        let meta = fs::metadata(&closed).unwrap();
        let (stranger, strangers) = (meta.uid() + 1, meta.gid() + 1);

        for (mode, uid, gid, expected) in [
            (0o711, stranger, strangers, None),
            (0o710, stranger, strangers, Some(&closed)),
            (0o710, stranger, meta.gid(), None),
            (0o701, stranger, meta.gid(), Some(&closed)),
            (0o100, meta.uid(), strangers, None),
        ] {
            fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
            let found = first_closed(&closed, uid, gid).unwrap();
            assert_eq!(found.as_ref(), expected, "mode {mode:o} uid {uid} gid {gid}");
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

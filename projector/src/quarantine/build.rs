//! Which build this is, so that one that has not tried a quarantined stream yet can be told.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, Read as _};

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use twox_hash::XxHash3_64;

static THIS_BUILD: OnceCell<String> = OnceCell::const_new();

/// The version, and a hash of the program itself: the same version may be built again with a fix
/// in it. Only asked for when a stream is quarantined, since a program is large.
pub(crate) async fn this_build() -> &'static str {
    THIS_BUILD.get_or_init(identify).await
}

async fn identify() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match spawn_blocking(hash_of_program).await {
        Ok(Ok(hash)) => format!("{version}+{hash:016x}"),
        // Then a new version is noticed, and another build of the same version is not.
        Ok(Err(_)) | Err(_) => version.to_owned(),
    }
}

fn hash_of_program() -> io::Result<u64> {
    // The path may be that of another program by now, after an upgrade; this link never is.
    let mut program =
        File::open("/proc/self/exe").or_else(|_| std::env::current_exe().and_then(File::open))?;
    let mut hash = XxHash3_64::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let length = program.read(&mut chunk)?;
        if length == 0 {
            return Ok(hash.finish());
        }
        hash.write(&chunk[..length]);
    }
}

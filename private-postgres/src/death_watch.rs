//! Stops the server when our process dies without stopping it, `kill -9` included.
//!
//! A small shell process waits for the end of a pipe that only we hold open: the system closes it
//! with us. Without it a server would run on until the next start on the same data directory.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::account::Account;

/// Arguments: the server's pid, its pid file, the signal, and a folder to remove, or nothing.
///
/// The pid file is read again because the number may belong to another process by then.
const SCRIPT: &str = r#"
if read -r _; then exit 0; fi
owner=
read -r owner < "$2"
if [ "$owner" = "$1" ]; then kill "-$3" "$1"; fi
if [ -z "$4" ]; then exit 0; fi
tries=0
while [ -e "$2" ] && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$4"
"#;

/// What the watcher does when we die.
pub(crate) struct LastWill<'a> {
    pub(crate) account: &'a Account,
    pub(crate) pid_file: &'a Path,
    /// Remove this folder after the server has ended (and end it at once, without ceremony).
    pub(crate) remove: Option<&'a Path>,
}

/// The watching process. Dropping it without [`DeathWatch::release`] looks like our death.
#[derive(Debug)]
pub(crate) struct DeathWatch {
    child: Child,
}

impl DeathWatch {
    pub(crate) fn start(server: u32, will: &LastWill<'_>) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "orderstore-watch"]);
        command.arg(server.to_string()).arg(will.pid_file);
        command.arg(if will.remove.is_some() { "QUIT" } else { "INT" });
        command.arg(will.remove.unwrap_or(Path::new("")));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C in the terminal must not end the watcher before us.
        command.process_group(0);
        will.account.apply(&mut command);
        Ok(Self { child: command.spawn()? })
    }

    /// Ends the watch: the server has ended.
    pub(crate) fn release(mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            // A watcher somebody killed cannot be told, and need not be.
            let _ = pipe.write_all(b"released\n");
        }
        let _ = self.child.wait();
    }
}

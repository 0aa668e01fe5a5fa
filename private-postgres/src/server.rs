//! The running server process: its end and its signals. Nothing here knows what it serves.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

use crate::Error;
use crate::death_watch::{DeathWatch, LastWill};

/// A child process that is told to shut down when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pid: Pid,
    child: Arc<Mutex<Child>>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Server {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches only us and we
    /// decide when the server stops.
    pub(crate) fn spawn(mut command: Command, will: &LastWill<'_>) -> Result<Self, Error> {
        let program = command.get_program().to_owned();
        let mut child = command.process_group(0).spawn().map_err(Error::run(program))?;
        let number = child.id();
        let pid = Pid::from_child(&child);
        let watch = match DeathWatch::start(number, will) {
            Ok(watch) => watch,
            Err(source) => {
                // Nothing depends on the server yet, so its answer does not matter.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(Error::run("/bin/sh")(source));
            }
        };
        let child = Arc::new(Mutex::new(child));
        let (tell, ended) = watch::channel(None);
        let waited_for = Arc::clone(&child);
        // A thread, because a cluster shared by tests outlives the runtime it was started in.
        thread::spawn(move || {
            wait_for_end(pid);
            let status = lock(&waited_for).wait();
            watch.release();
            tell.send_replace(Some(status.unwrap_or_default()));
        });
        Ok(Self { pid, child, ended })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal, unless the process has ended: its number may belong to another one then.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = lock(&self.child);
        if matches!(child.try_wait(), Ok(None)) {
            // It can only fail because the process ended just now.
            let _ = kill_process(self.pid, signal);
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Completes when the process has ended, for whatever reason.
    pub(crate) fn ended(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await {
                Ok(status) => status.unwrap_or_default(),
                Err(_) => ExitStatus::default(),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

/// Waits without collecting the process, so that its number stays reserved until the lock is held.
fn wait_for_end(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
}

fn lock(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

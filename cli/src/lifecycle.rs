//! Signals: the first asks to stop and lets work in hand end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first Ctrl-C or SIGTERM.
///
/// # Errors
/// When the system does not let us listen for signals.
pub(crate) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = stop.clone();
    tokio::spawn(async move {
        for count in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if count == 0 {
                eprintln!("Stopping; once more to stop at once.");
                told.cancel();
            } else {
                // Nothing that was accepted is lost by this: that is what the log is for.
                std::process::exit(130);
            }
        }
    });
    Ok(stop)
}

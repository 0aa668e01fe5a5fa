//! What workers are called for, through the database: readers who wait for what they see, and those
//! who are about to show readers another generation.

use std::collections::HashMap;

use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use tokio::sync::watch;

use crate::ProjectionName;
use crate::bookkeeping::FLEET;
use crate::worker::{Context, Patience};

/// The channel on which somebody who waits for a projection, whose name is sent, says so.
pub(crate) const WANTED: &str = "orderstore_wanted";

/// The channel on which it is told that the generations of a projection, whose name is sent, that
/// readers do not see had better be where the one is that they see.
const HURRY: &str = "orderstore_hurry";

/// Passes calls on to the workers of this process.
#[derive(Debug)]
pub(crate) struct Calls {
    wanted: HashMap<ProjectionName, watch::Sender<()>>,
    hurry: HashMap<ProjectionName, watch::Sender<()>>,
}

/// What one worker hears of them.
#[derive(Debug)]
pub(crate) struct Ear {
    wanted: watch::Receiver<()>,
    hurry: watch::Receiver<()>,
}

impl Default for Calls {
    fn default() -> Self {
        let channels = || ProjectionName::ALL.map(|name| (name, watch::Sender::new(()))).into();
        Self { wanted: channels(), hurry: channels() }
    }
}

impl Calls {
    /// Calls for workers at `projection`.
    pub(crate) fn listen(&self, projection: ProjectionName) -> Ear {
        let [wanted, hurry] = [&self.wanted, &self.hurry].map(|it| it[&projection].subscribe());
        Ear { wanted, hurry }
    }
}

impl Ear {
    /// Waits for a call that is for the generation that readers see, or for the others. Safe to
    /// cancel.
    pub(crate) async fn called(&mut self, seen: bool) {
        let calls = if seen { &mut self.wanted } else { &mut self.hurry };
        // (The other end is in the worker's own context.)
        let _ = calls.changed().await;
    }
}

/// Has the generations of `projection` that readers do not see hurry for about half a second,
/// whichever processes work on them.
pub(crate) async fn hurry(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> sqlx::Result<()> {
    let hurrying = sqlx::query("select pg_notify($1, $2)").bind(HURRY).bind(projection.as_str());
    hurrying.execute(connection).await.map(drop)
}

/// Hears calls, and that processes have come or gone, until `context` is stopped.
pub(crate) async fn hear(context: Context) {
    let address = context.address.as_ref().clone().application_name("orderstore projector");
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(address);
    let mut patience = Patience::new();
    while !context.stop.is_cancelled() {
        let hearing = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen_all([WANTED, HURRY, FLEET]).await?;
            while let Some(heard) = listener.try_recv().await? {
                let calls = match heard.channel() {
                    FLEET => {
                        context.fleet.notify_one();
                        continue;
                    }
                    HURRY => &context.calls.hurry,
                    _ => &context.calls.wanted,
                };
                if let Ok(name) = heard.payload().parse::<ProjectionName>() {
                    calls[&name].send_replace(());
                }
            }
            Ok::<_, sqlx::Error>(())
        };
        let heard = tokio::select! {
            () = context.stop.cancelled() => Ok(()),
            heard = hearing => heard,
        };
        match heard {
            Ok(()) => patience = Patience::new(),
            Err(error) => tracing::debug!(%error, "could not hear who waits for projections"),
        }
        patience.wait(&context.stop).await;
    }
    pool.close().await;
}

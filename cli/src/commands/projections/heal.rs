//! `orderstore projections rebuild --stream`: the rows of one stream, folded again.

use std::process::ExitCode;

use projector::{RebuiltStream, StreamOutcome};
use schemas::StreamName;
use serde_json::json;

use super::not_well;
use super::stores::Stores;
use crate::output::say;

pub(super) async fn rebuild_stream(
    stores: &Stores,
    stream: &StreamName,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let (database, journal) = stores.open()?;
    let rebuilt = projector::rebuild_stream(&database, journal, stream).await?;
    Ok(tell(&rebuilt, as_json))
}

/// Says what came of it; not well if the stream is stuck.
pub(super) fn tell(rebuilt: &[RebuiltStream], as_json: bool) -> ExitCode {
    let mut well = true;
    for RebuiltStream { projection, generation, stream, outcome } in rebuilt {
        let (what, events, stuck_at, error) = match outcome {
            StreamOutcome::Rebuilt { events } => ("rebuilt", Some(*events), None, None),
            StreamOutcome::Gone => ("gone", None, None, None),
            StreamOutcome::Quarantined { revision, error } => {
                well = false;
                ("quarantined", None, Some(*revision), Some(error))
            }
        };
        if as_json {
            say(json!({
                "projection": projection.as_str(),
                "generation": generation,
                "stream": stream.as_str(),
                "outcome": what,
                "events": events,
                "stuckAt": stuck_at,
                "error": error,
            }));
            continue;
        }
        let words = match outcome {
            StreamOutcome::Rebuilt { events } => format!("is folded again, {events} events"),
            StreamOutcome::Gone => "is not in the log, and has no rows now".to_owned(),
            StreamOutcome::Quarantined { revision, error } => format!(
                "is stuck at event {revision}: {error}; see `orderstore projections quarantine show {projection} {stream}`"
            ),
        };
        say(format_args!("{projection} {generation}: {stream} {words}"));
    }
    if well { ExitCode::SUCCESS } else { not_well() }
}

//! Looks up the events that rows go back to.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use journal::{Journal, Recorded};
use schemas::{Aggregate, StreamName};

use super::report::{Explanation, RowSample};
use super::rows::Source;
use crate::failure::{Failure, is_about_events};
use crate::projection::Projection;

/// So many streams are read at the same time.
pub(crate) const READERS: usize = 16;

/// The stream whose rows have this owner; `None` for a key that makes no name.
pub(crate) fn stream_of_owner<P: Projection>(owner: &str) -> Option<StreamName> {
    format!("{}-{owner}", P::Source::CATEGORY).parse().ok()
}

/// Event `revision` of `stream`, if it is there and can be read.
pub(crate) async fn event(
    journal: &Journal,
    stream: &StreamName,
    revision: u64,
) -> Result<Option<Recorded>, Failure> {
    match journal.read(stream, revision).try_next().await {
        Ok(event) => Ok(event.filter(|event| event.revision == revision)),
        Err(error) if !is_about_events(&error) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Tells of each sample what it goes back to.
pub(crate) async fn explain<P: Projection>(
    journal: &Journal,
    samples: &mut [RowSample],
    sources: &[Option<Source>],
) -> Result<(), Failure> {
    let explaining: Vec<BoxFuture<'_, Result<(), Failure>>> = samples
        .iter_mut()
        .zip(sources)
        .filter_map(|(sample, source)| Some((sample, source.as_ref()?)))
        .map(|(sample, source)| explain_one::<P>(journal, sample, source).boxed())
        .collect();
    stream::iter(explaining).buffer_unordered(READERS).try_collect().await
}

async fn explain_one<P: Projection>(
    journal: &Journal,
    sample: &mut RowSample,
    source: &Source,
) -> Result<(), Failure> {
    let Some(stream) = stream_of_owner::<P>(&source.owner) else { return Ok(()) };
    if let Some(revision) = source.revision.and_then(|revision| revision.try_into().ok()) {
        sample.event = event(journal, &stream, revision).await?.map(Explanation::of);
    }
    sample.stream = Some(stream.to_string());
    Ok(())
}

impl Explanation {
    fn of(event: Recorded) -> Self {
        Self {
            revision: event.revision,
            event_type: event.event_type,
            event_id: event.event_id,
            actor: event.metadata.actor,
            recorded_at: event.metadata.recorded_at,
        }
    }
}

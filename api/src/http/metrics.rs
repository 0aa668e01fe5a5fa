//! `/metrics`: how far the projections are and what has happened to them, in the text format that
//! Prometheus reads. Put together from one statement, and one event per projection that lags.

use std::fmt::{Display, Write};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use journal::Journal;
use projector::read_model::{Reader, SliceState};

use crate::lag::Lags;
use crate::router::App;

/// The version of the text format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What metrics are read from.
pub(crate) struct Metrics {
    journal: Journal,
    reader: Reader,
}

/// 200 with the metrics, or 503 when the database does not answer.
pub(crate) async fn answer(State(app): State<App>) -> Response {
    let Metrics { journal, reader } = &*app.metrics;
    match reader.slices().await {
        Ok(slices) => {
            // Without the event store nobody knows how far behind they are; the rest is known.
            let lags = Lags::read(journal, &slices).await;
            ([(header::CONTENT_TYPE, FORMAT)], text(&slices, lags.as_ref())).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

impl Metrics {
    pub(crate) const fn new(journal: Journal, reader: Reader) -> Self {
        Self { journal, reader }
    }
}

fn text(slices: &[SliceState], lags: Option<&Lags>) -> String {
    let mut page = Page::default();
    page.slices(slices);
    if let Some(lags) = lags {
        page.lags(slices, lags);
    }
    page.counters(slices);
    page.generations(slices);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn slices(&mut self, slices: &[SliceState]) {
        let each = |value: fn(&SliceState) -> f64| {
            slices.iter().map(move |slice| (labels(slice), value(slice)))
        };
        self.metric(
            "orderstore_projection_seen_seconds_ago",
            "gauge",
            "Seconds since whoever works on the slice last showed a sign of life.",
            each(|slice| slice.seen_seconds_ago),
        );
        self.metric(
            "orderstore_projection_held",
            "gauge",
            "1 while somebody works on the slice.",
            each(|slice| f64::from(u8::from(slice.held))),
        );
    }

    fn lags(&mut self, slices: &[SliceState], lags: &Lags) {
        let followed = || slices.iter().filter(|slice| slice.is_followed());
        self.metric(
            "orderstore_projection_lag_events",
            "gauge",
            "How far the slice is behind the end of the log, in the log's own unit: events in the \
             embedded store, bytes in EventStoreDB.",
            followed().map(|slice| (labels(slice), lags.positions(slice))),
        );
        self.metric(
            "orderstore_projection_lag_milliseconds",
            "gauge",
            "How long ago the first event was recorded that the slice has not come to yet; 0 when it \
             is at the end.",
            followed().map(|slice| (labels(slice), lags.milliseconds(slice))),
        );
    }

    fn counters(&mut self, slices: &[SliceState]) {
        let mut counter = |name, help, value: fn(&SliceState) -> i64| {
            let samples = slices.iter().map(|slice| (labels(slice), value(slice)));
            self.metric(name, "counter", help, samples);
        };
        counter(
            "orderstore_projection_events_applied_total",
            "Events that were folded since the slice was created.",
            |slice| slice.tally.events_applied,
        );
        counter(
            "orderstore_projection_duplicates_dropped_total",
            "Events that came again and were dropped.",
            |slice| slice.tally.duplicates_dropped,
        );
        counter(
            "orderstore_projection_gaps_healed_total",
            "Gaps that were filled from their streams. Anything but 0 means that events were skipped.",
            |slice| slice.tally.gaps_healed,
        );
        counter(
            "orderstore_projection_streams_quarantined_total",
            "Streams that were quarantined since the slice was created.",
            |slice| slice.tally.streams_quarantined,
        );
    }

    fn generations(&mut self, slices: &[SliceState]) {
        let all = || slices.iter().filter(|slice| slice.slice == 0);
        let of = |slice: &SliceState| {
            format!("projection=\"{}\",generation=\"{}\"", slice.projection, slice.generation)
        };
        self.metric(
            "orderstore_projection_generation",
            "gauge",
            "1 for every generation that there is.",
            all().map(|slice| {
                let (version, state) = (slice.version, slice.state);
                (format!("{},version=\"{version}\",state=\"{state}\"", of(slice)), 1)
            }),
        );
        self.metric(
            "orderstore_projection_quarantined_streams",
            "gauge",
            "Streams that the generation does not follow because of an event that it cannot fold.",
            all().map(|slice| (of(slice), slice.quarantined)),
        );
        let verified = || all().filter_map(|slice| Some((of(slice), slice.verified?)));
        self.metric(
            "orderstore_projection_verified_seconds_ago",
            "gauge",
            "Seconds since rows were last compared with what their events make them.",
            verified().map(|(labels, verified)| (labels, verified.seconds_ago)),
        );
        self.metric(
            "orderstore_projection_verified_streams",
            "gauge",
            "Streams that were folded again then.",
            verified().map(|(labels, verified)| (labels, verified.streams)),
        );
        self.metric(
            "orderstore_projection_drifted_streams",
            "gauge",
            "Streams whose rows were wrong and have not been healed: found when everything was looked at, or in samples since.",
            verified().map(|(labels, verified)| (labels, verified.drifted)),
        );
        self.metric(
            "orderstore_projection_sums_differing",
            "gauge",
            "Rows of sums that were wrong then.",
            verified().filter_map(|(labels, verified)| Some((labels, verified.sums_differing?))),
        );
    }

    /// A metric with its samples, if it has any.
    fn metric<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl Iterator<Item = (String, V)>,
    ) {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return;
        }
        // Writing to a text does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
        }
    }
}

/// Names and numbers of our own: nothing in them needs to be escaped.
fn labels(slice: &SliceState) -> String {
    let SliceState { projection, generation, slice, .. } = slice;
    format!("projection=\"{projection}\",generation=\"{generation}\",slice=\"{slice}\"")
}

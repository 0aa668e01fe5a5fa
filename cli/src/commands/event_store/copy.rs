//! `copy`: everything to another event store, through its own protocol.

mod limits;
mod present;
mod source;
mod tally;
mod target;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::bail;
use embedded_store::maintenance::Record;
use eventstore::Client;
use indicatif::ProgressBar;

use self::limits::Limits;
use self::source::Source;
use self::tally::Tally;
use self::target::{Run, Target};
use super::place::{Place, bar, settings};
use crate::output::say;

/// Differences that are printed.
const SHOWN: usize = 20;

/// Kept: ids, event types, data, custom metadata, revisions, the order within each stream and, as long
/// as nobody else writes to the target, of all events; each stream's newest metadata with its `$acl`;
/// which streams are deleted or ended. The metadata are written after the events.
///
/// Not kept: times and positions, which every event store gives by itself; superseded metadata; where a
/// tombstone stands among the events of other streams. Left out: streams whose names begin with `$`,
/// such as users, settings, and persistent subscriptions with their checkpoints and parked messages;
/// create those anew. Where the beginning of a stream is gone, empty events of type `$removed` take
/// its place, so that revisions stay the same.
///
/// A copy that was interrupted goes on when it is repeated: what is there is recognised by its id at
/// its revision. What the target has besides is not touched; a stream that has something else at the
/// same revisions ends the copy. A stream with metadata in the source gets them, whatever metadata the
/// target gave it meanwhile. The target is read before the copy, and at the end to be compared.
#[derive(Debug, clap::Args)]
pub(super) struct Copy {
    /// Address of the event store to copy to
    #[arg(long, value_name = "URL")]
    to: String,
    /// Copy from another event store (`esdb://…`), from what `export` wrote, or from a folder
    #[arg(long, value_name = "URL|FILE|FOLDER", conflicts_with = "directory")]
    from: Option<String>,
    /// Do not read the target at the end
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    place: Place,
}

impl Copy {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let source = match &self.from {
            Some(from) => Source::named(from)?,
            None => Source::Directory(self.place.resolve()?),
        };
        let client = Client::new(settings(&self.to)?)?;
        let bar = bar();
        let mut copying = Copying::new(Target::connect(client.clone(), &bar).await?);
        copying.events(source, &bar).await?;
        copying.end(&bar).await?;
        bar.finish_and_clear();
        copying.report();
        if !self.no_verify {
            verify(&client, &copying).await?;
        }
        Ok(())
    }
}

/// What was copied so far.
struct Copying {
    target: Target,
    /// Events of one stream that stand next to each other and go together.
    run: Option<Run>,
    streams: HashMap<String, Tally>,
    /// The newest metadata of each stream.
    metadata: BTreeMap<String, Record>,
    ended: BTreeSet<String>,
    events: u64,
    left_out: u64,
    fillers: u64,
}

impl Copying {
    fn new(target: Target) -> Self {
        Self {
            target,
            run: None,
            streams: HashMap::new(),
            metadata: BTreeMap::new(),
            ended: BTreeSet::new(),
            events: 0,
            left_out: 0,
            fillers: 0,
        }
    }

    async fn events(&mut self, source: Source, bar: &ProgressBar) -> anyhow::Result<()> {
        let mut reading = source.begin().await?;
        bar.set_length(reading.last_position);
        bar.set_message("copying");
        while let Some(record) = reading.records.recv().await {
            let record = record?;
            bar.set_position(record.position);
            self.take(record).await?;
        }
        self.flush().await?;
        self.target.settle().await
    }

    async fn take(&mut self, record: Record) -> anyhow::Result<()> {
        if let Some(original) = record.stream.strip_prefix("$$") {
            if original.starts_with('$') {
                self.left_out += 1;
            } else {
                self.metadata.insert(original.to_owned(), record);
            }
            return Ok(());
        }
        if record.stream.starts_with('$') {
            self.left_out += 1;
            return Ok(());
        }
        if record.is_tombstone() {
            self.ended.insert(record.stream);
            return Ok(());
        }
        self.events += 1;
        if let Some(tally) = self.streams.get_mut(&record.stream) {
            tally.add(&record);
        } else {
            self.flush().await?;
            self.fillers += self.target.fill(&record.stream, record.revision).await?;
            let from = self.target.present.first(&record.stream);
            self.streams.insert(record.stream.clone(), Tally::begin(&record, from));
        }
        if record.revision < self.target.present.sendable(&record.stream) {
            return Ok(());
        }
        match &mut self.run {
            Some(run) if run.takes(&record) => run.push(record),
            Some(_) | None => {
                self.flush().await?;
                self.run = Some(Run::begin(record));
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        match self.run.take() {
            Some(run) => self.target.send(run).await,
            None => Ok(()),
        }
    }

    /// What hides and ends streams comes last, so that it is not in the way.
    async fn end(&mut self, bar: &ProgressBar) -> anyhow::Result<()> {
        bar.set_message("metadata");
        self.metadata.retain(|stream, _| !self.ended.contains(stream));
        self.contradicted()?;
        self.target.metadata(&self.metadata).await?;
        self.target.tombstones(&self.ended).await
    }

    /// An error if a stream goes on in the source that somebody ended or deleted in the target.
    fn contradicted(&self) -> anyhow::Result<()> {
        let goes_on = |stream: &&String| {
            let is_there =
                self.streams.contains_key(*stream) || self.metadata.contains_key(*stream);
            is_there && !self.ended.contains(*stream)
        };
        let present = &self.target.present;
        if let Some(stream) = present.ended.iter().find(goes_on) {
            bail!("stream '{stream}' was ended for ever in the target and goes on in the source");
        }
        // A deletion that was copied has left metadata in the source.
        let mut deleted = present.deleted().filter(|stream| !self.metadata.contains_key(*stream));
        if let Some(stream) = deleted.find(goes_on) {
            bail!("stream '{stream}' was deleted in the target and goes on in the source");
        }
        Ok(())
    }

    /// Whether the source still shows what the target has removed from a stream.
    fn lacks_shown(&self, stream: &str, wanted: &Tally) -> bool {
        let limits = self.metadata.get(stream).map(Limits::of).unwrap_or_default();
        wanted.skipped().is_some_and(|from| limits.show_before(from, wanted.last()))
    }

    fn report(&self) {
        say(format!("{} events in {} streams", self.events, self.streams.len()));
        say(format!("{} streams with metadata, {} ended", self.metadata.len(), self.ended.len()));
        if self.fillers > 0 {
            say(format!("{} empty events where the beginning of a stream is gone", self.fillers));
        }
        if self.target.unmarked > 0 {
            say(format!("{} events marked as JSON that hold none", self.target.unmarked));
        }
        if self.left_out > 0 {
            say(format!("{} events of system streams left out", self.left_out));
        }
    }
}

/// Reads the whole target and compares what was copied.
async fn verify(client: &Client, copying: &Copying) -> anyhow::Result<()> {
    let mut found: HashMap<String, Tally> = HashMap::new();
    let mut metadata: HashMap<String, Vec<u8>> = HashMap::new();
    let mut ended = HashSet::new();
    let mut reading = Source::Server(Box::new(client.clone())).begin().await?;
    while let Some(record) = reading.records.recv().await {
        let record = record?;
        if let Some(original) = record.stream.strip_prefix("$$") {
            metadata.insert(original.to_owned(), record.data);
        } else if record.is_tombstone() {
            ended.insert(record.stream);
        } else if let Some(wanted) = copying.streams.get(&record.stream)
            && wanted.covers(record.revision)
        {
            let tally = found.get_mut(&record.stream);
            match tally {
                Some(tally) => tally.add(&record),
                None => {
                    found.insert(record.stream.clone(), Tally::begin(&record, 0));
                }
            }
        }
    }
    let mut differences = Vec::new();
    for (stream, wanted) in &copying.streams {
        // The target may have removed what was in a stream that ended.
        if copying.ended.contains(stream) {
            continue;
        }
        if !wanted.is(found.get(stream)) {
            differences.push(format!("stream '{stream}' differs"));
        } else if copying.lacks_shown(stream, wanted) {
            differences.push(format!("the target has removed the beginning of stream '{stream}'"));
        }
    }
    for (stream, wanted) in &copying.metadata {
        if metadata.get(stream) != Some(&wanted.data) {
            differences.push(format!("the metadata of stream '{stream}' differ"));
        }
    }
    for stream in copying.ended.difference(&ended.into_iter().collect()) {
        differences.push(format!("stream '{stream}' is not ended"));
    }
    differences.sort();
    differences.iter().take(SHOWN).for_each(say);
    if !differences.is_empty() {
        bail!("{} differences between source and target", differences.len());
    }
    say("The target was read and is the same.");
    Ok(())
}

//! States of long streams in files: they save reading, and are never believed more than the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Decider;
use journal::{Error, ExecuteError, ExpectedRevision, Journal, ManualClock, Options, Repository};
use schemas::{Aggregate, StateFormat};
use tempfile::TempDir;

use crate::counter::{Command, Counter, Event, Rejection, State};
use crate::counter::{context, count, counted, open, proposed, stream};
use crate::store::Store;
use crate::{PATIENCE, must};

/// More than are read without a file.
const LONG: u64 = 5_000;

/// A store with a long stream, and a folder.
struct World {
    store: Store,
    folder: TempDir,
}

impl World {
    async fn start() -> Self {
        let mut world = Self { store: Store::start().await, folder: tempfile::tempdir().unwrap() };
        world.write_long_stream("old").await;
        world
    }

    /// Writes the stream `a` of so many events that their tags begin with `tag`.
    async fn write_long_stream(&mut self, tag: &str) {
        let journal = self.store.journal();
        let mut expected = ExpectedRevision::NoStream;
        let mut events = vec![proposed(&Event::Opened { limit: 10_000 })];
        events.extend((1..LONG).map(|number| counted(format!("{tag}-{number}"))));
        for together in events.chunks(500) {
            let stream = stream("a");
            let appended = must(journal.append(&stream, expected, together.to_vec())).await;
            expected = ExpectedRevision::Exact(appended.unwrap().revision);
        }
    }

    /// As a process that has just started.
    fn counters<D: Aggregate>(&self) -> Repository<D> {
        let clock = Arc::new(ManualClock::at(chrono::DateTime::UNIX_EPOCH));
        let options = Options::new(self.store.address()).with_deadline(PATIENCE);
        let options = options.with_snapshots(self.folder.path());
        Repository::new(Journal::connect(options, clock).unwrap(), 100)
    }

    /// Loads the stream as a process does that has just started: what it saw, and how many events
    /// it read for that.
    async fn load<D: Aggregate<State = State, Id = String>>(&self) -> (State, u64) {
        let counters = self.counters::<D>();
        let loaded = must(counters.load(&"a".to_owned())).await.unwrap().unwrap();
        ((*loaded.state).clone(), counters.stats().events_read)
    }

    /// Has the stream read once and its state written down: the file.
    async fn written(&self) -> PathBuf {
        let (_, read) = self.load::<Counter>().await;
        assert_eq!(read, LONG, "there was a file before");
        until(|| !snapshots_in(self.folder.path()).is_empty()).await;
        snapshots_in(self.folder.path()).remove(0)
    }
}

/// Waits for what is done beside commands.
async fn until(condition: impl Fn() -> bool) {
    must(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn snapshots_in(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "snapshot")).collect()
}

#[tokio::test]
async fn a_long_stream_is_not_read_again_by_a_process_that_starts() {
    let world = World::start().await;
    world.written().await;

    let counters = world.counters::<Counter>();
    let counted = must(counters.execute(&"a".to_owned(), count("new"), context())).await.unwrap();

    assert_eq!((counted.revision, counted.state.count), (LONG, LONG));
    assert_eq!(counted.state.tags[0], "old-1");
    // The one that the file was written after: that it is still there is why the file counts.
    assert_eq!(counters.stats().events_read, 1);
}

#[tokio::test]
async fn what_came_after_the_file_is_read() {
    let world = World::start().await;
    world.written().await;
    let journal = world.store.journal();
    let expected = ExpectedRevision::Exact(LONG - 1);
    must(journal.append(&stream("a"), expected, vec![counted("x"), counted("y")])).await.unwrap();

    let (state, read) = world.load::<Counter>().await;

    assert_eq!((state.count, read), (LONG + 1, 3));
    assert_eq!(state.tags.last().unwrap(), "y");
}

#[tokio::test]
async fn a_short_stream_has_no_file() {
    let world = World::start().await;
    let counters = world.counters::<Counter>();
    for command in [open(3), count("x"), count("y")] {
        must(counters.execute(&"short".to_owned(), command, context())).await.unwrap();
    }
    must(counters.load(&"a".to_owned())).await.unwrap();
    until(|| !snapshots_in(world.folder.path()).is_empty()).await;
    assert_eq!(snapshots_in(world.folder.path()).len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_passed_over() {
    let world = World::start().await;
    let file = world.written().await;
    let whole = fs::read(&file).unwrap();
    let (expected, _) = world.load::<Counter>().await;
    let head = whole.iter().position(|&byte| byte == b'\n').unwrap();
    let torn = [0, 1, head, head + 1, whole.len() / 2, whole.len() - 1];
    let mut damaged: Vec<Vec<u8>> = torn.iter().map(|&length| whole[..length].to_vec()).collect();
    damaged.extend((0..head).step_by(7).chain([head, head + 1, whole.len() - 1]).map(|at| {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        damaged
    }));
    damaged.push(vec![0; whole.len()]);

    for bytes in damaged {
        fs::write(&file, &bytes).unwrap();
        let (state, read) = world.load::<Counter>().await;
        assert!(
            state == expected,
            "{:?}…",
            String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
        );
        assert!(read >= LONG, "only {read} events were read");
        // It is written anew, which must not happen to the next one.
        until(|| fs::read(&file).unwrap() == whole).await;
    }
}

#[tokio::test]
async fn a_file_of_another_log_is_passed_over() {
    let mut world = World::start().await;
    world.written().await;
    world.store.stop().await;
    world.store.forget_everything();
    world.store.start_again().await;
    world.write_long_stream("new").await;

    let (state, _) = world.load::<Counter>().await;

    assert_eq!((state.count, state.tags[0].as_str()), (LONG - 1, "new-1"));
}

#[tokio::test]
async fn a_file_of_a_stream_that_has_gone_is_passed_over() {
    let world = World::start().await;
    world.written().await;
    must(world.store.journal().delete_stream(&stream("a"), LONG - 1)).await.unwrap();

    let counters = world.counters::<Counter>();
    assert!(must(counters.load(&"a".to_owned())).await.unwrap().is_none());
    let refused = must(counters.execute(&"a".to_owned(), count("new"), context())).await;
    assert_eq!(refused.unwrap_err(), ExecuteError::Rejected(Rejection::NotOpen));
}

#[tokio::test]
async fn a_file_of_a_stream_that_was_deleted_and_goes_on_is_passed_over() {
    let world = World::start().await;
    world.written().await;
    let journal = world.store.journal();
    must(journal.delete_stream(&stream("a"), LONG - 1)).await.unwrap();
    let opened = vec![proposed(&Event::Opened { limit: 7 })];
    let expected = ExpectedRevision::Exact(LONG - 1);
    must(journal.append(&stream("a"), expected, opened)).await.unwrap();

    let (state, _) = world.load::<Counter>().await;

    assert_eq!((state.limit, state.count), (Some(7), 0));
}

#[tokio::test]
async fn what_is_known_of_a_log_that_was_replaced_by_a_longer_one_is_neither_used_nor_kept() {
    let mut world = World::start().await;
    let file = world.written().await;
    let counters = world.counters::<Counter>();
    must(counters.load(&"a".to_owned())).await.unwrap();
    world.store.stop().await;
    world.store.forget_everything();
    world.store.start_again().await;
    world.write_long_stream("new").await;
    let expected = ExpectedRevision::Exact(LONG - 1);
    must(world.store.journal().append(&stream("a"), expected, vec![counted("more")]))
        .await
        .unwrap();

    let counted = must(counters.execute(&"a".to_owned(), count("last"), context())).await.unwrap();

    assert_eq!((counted.state.count, counted.state.tags[0].as_str()), (LONG + 1, "new-1"));
    until(|| fs::read(&file).unwrap().windows(5).any(|it| it == b"new-1")).await;
    let (state, _) = world.load::<Counter>().await;
    assert_eq!((state.count, state.tags[0].as_str()), (LONG + 1, "new-1"));
}

/// The same streams, but every event counts twice.
#[derive(Debug)]
struct CountedTwice;

impl Decider for CountedTwice {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn initial() -> State {
        Counter::initial()
    }

    fn evolve(state: State, event: &Event) -> State {
        let before = state.count;
        let after = Counter::evolve(state, event);
        State { count: 2 * after.count - before, ..after }
    }

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        Counter::decide(state, command)
    }
}

impl Aggregate for CountedTwice {
    const CATEGORY: &'static str = Counter::CATEGORY;
    type Id = String;
    const STATES: Option<StateFormat<State>> = Some(StateFormat::version(2));
}

#[tokio::test]
async fn a_file_of_another_fold_is_passed_over() {
    let world = World::start().await;
    world.written().await;
    let (state, read) = world.load::<CountedTwice>().await;
    assert_eq!((state.count, read), (2 * (LONG - 1), LONG));
}

#[tokio::test]
async fn commands_go_on_when_nothing_can_be_written() {
    let world = World::start().await;
    let file = world.written().await;
    fs::remove_file(&file).unwrap();
    // Nothing can be renamed to it.
    fs::create_dir(&file).unwrap();
    let counters = world.counters::<Counter>();

    must(counters.load(&"a".to_owned())).await.unwrap();
    let counted = must(counters.execute(&"a".to_owned(), count("new"), context())).await;

    assert_eq!(counted.unwrap().revision, LONG);
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_is_told_at_the_start() {
    let world = World::start().await;
    let file = world.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let options = Options::new(world.store.address()).with_snapshots(&file);
    let clock = Arc::new(ManualClock::at(chrono::DateTime::UNIX_EPOCH));

    let Err(Error::SnapshotFolder { folder, .. }) = Journal::connect(options, clock) else {
        panic!("a file was taken for a folder");
    };
    assert_eq!(folder, file.display().to_string());
}

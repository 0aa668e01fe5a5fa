//! What is put aside is found again: whatever the budget, and wherever it was interrupted.

use std::fs::{self, OpenOptions};
use std::path::Path;

use journal::{Position, Raw};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    BLOCK, MOST_PARTITIONS, Partitions, RawEvent, Resumed, SMALLEST_BLOCK, Sealer, Settings,
    SpillError, partition_of, partitions_for,
};

const COUNT: usize = 4;

fn settings(budget_bytes: usize) -> Settings {
    Settings { identity: "orders of a test".to_owned(), budget_bytes, expected_bytes: 0 }
}

/// The least that is accepted: nearly everything goes to disk.
fn small() -> Settings {
    settings(3 * COUNT * SMALLEST_BLOCK + Sealer::bytes_for(SMALLEST_BLOCK))
}

fn large() -> Settings {
    settings(64 << 20)
}

fn at(number: u64) -> Position {
    Position { commit: number * 100, prepare: number * 100 - number % 3 }
}

/// An event that no other resembles.
fn event(number: u64, bytes: usize) -> Raw {
    let noise = |salt: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ salt;
    let data: Vec<u8> =
        (0..bytes as u64).map(|at| (noise(at * at) >> (at % 50)).to_le_bytes()[0]).collect();
    Raw {
        stream: format!("order-{}", number % 7).into(),
        revision: number / 7,
        position: at(number),
        event_id: Uuid::from_u128(u128::from(noise(1)) << 64 | u128::from(number)),
        event_type: (if number.is_multiple_of(3) { "order-placed" } else { "ö" }).into(),
        metadata: format!("{{\"schemaVersion\":1,\"number\":{number}}}").into(),
        data: data.into(),
    }
}

fn push(partitions: &mut Partitions, event: &Raw) -> Result<(), SpillError> {
    partitions.push(partition_of(&event.stream, partitions.count()), RawEvent::from(event))
}

fn push_all(partitions: &mut Partitions, events: &[Raw]) {
    for event in events {
        push(partitions, event).unwrap();
    }
}

fn read(partitions: &Partitions, partition: usize) -> Result<Vec<Raw>, SpillError> {
    let mut found = vec![];
    for block in partitions.read(partition)? {
        let block = block?;
        found.extend(block.events()?.into_iter().map(|event| block.raw(event)));
    }
    Ok(found)
}

/// Every partition has its events of `events`, in their order, and nothing else.
fn assert_holds(partitions: &Partitions, events: &[Raw]) {
    for partition in 0..partitions.count() {
        let its = |event: &&Raw| partition_of(&event.stream, partitions.count()) == partition;
        let expected: Vec<_> = events.iter().filter(its).cloned().collect();
        assert_eq!(read(partitions, partition).unwrap(), expected, "partition {partition}");
    }
    assert_eq!(partitions.events(), events.len() as u64);
}

/// Some thousand bytes of each of some events, checkpointed at the last of them.
fn checkpointed(directory: &Path) -> Vec<Raw> {
    let events: Vec<_> = (1..=40).map(|number| event(number, 3000)).collect();
    let mut partitions = Partitions::open(directory, COUNT, small()).unwrap();
    push_all(&mut partitions, &events);
    partitions.checkpoint(at(40)).unwrap();
    events
}

fn resume(directory: &Path) -> Result<Resumed, SpillError> {
    Partitions::resume(directory, small())
}

/// A file of a partition that has something in it.
fn some_file(directory: &Path) -> std::path::PathBuf {
    let partition = partition_of("order-1", COUNT);
    directory.join(format!("partition-{partition:05}"))
}

/// What may have been left behind the last checkpoint.
#[derive(Debug, Clone)]
enum Crash {
    /// What was written stays.
    Clean,
    /// Only some of it reached the disk.
    Short(usize),
    /// Something else did.
    Garbage(Vec<u8>),
    /// The next manifest was begun.
    Manifest,
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::Clean),
        (0_usize..5000).prop_map(Crash::Short),
        vec(any::<u8>(), 1..5000).prop_map(Crash::Garbage),
        Just(Crash::Manifest),
    ]
}

impl Crash {
    /// Does it to every file, of which `kept` says how much was there at the checkpoint.
    fn strike(&self, directory: &Path, kept: &[u64]) {
        for (number, kept) in kept.iter().enumerate() {
            let path = directory.join(format!("partition-{number:05}"));
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = file.unwrap();
            match self {
                Self::Clean => {}
                Self::Short(bytes) => {
                    let there = file.metadata().unwrap().len();
                    file.set_len(there.saturating_sub(*bytes as u64).max(*kept)).unwrap();
                }
                Self::Garbage(bytes) => {
                    let there = fs::read(&path).unwrap();
                    fs::write(&path, [&there[..], bytes].concat()).unwrap();
                }
                Self::Manifest => fs::write(directory.join("manifest.new"), b"0123").unwrap(),
            }
        }
    }
}

fn lengths(directory: &Path) -> Vec<u64> {
    let length = |number| fs::metadata(directory.join(format!("partition-{number:05}")));
    (0..COUNT).map(|number| length(number).map_or(0, |file| file.len())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn what_was_pushed_up_to_the_last_checkpoint_survives_any_crash(
        sizes in vec(0_usize..6000, 1..120),
        checkpoints in vec(0_usize..120, 0..4),
        roomy in any::<bool>(),
        crash in crash(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let settings = if roomy { large() } else { small() };
        let events: Vec<_> =
            (1..).zip(&sizes).map(|(number, size)| event(number, *size)).collect();
        let mut partitions = Partitions::open(directory.path(), COUNT, settings.clone()).unwrap();
        let (mut safe, mut kept) = (0, vec![0; COUNT]);
        for (done, event) in (1..).zip(&events) {
            push(&mut partitions, event).unwrap();
            if checkpoints.contains(&done) {
                partitions.checkpoint(event.position).unwrap();
                (safe, kept) = (done, lengths(directory.path()));
            }
        }
        assert_holds(&partitions, &events);
        drop(partitions);
        crash.strike(directory.path(), &kept);

        let resumed = Partitions::resume(directory.path(), settings.clone());
        let mut partitions = match resumed {
            Ok(Resumed { partitions, position }) => {
                prop_assert_eq!(position, events[safe - 1].position);
                partitions
            }
            Err(SpillError::NothingToResume { .. }) => {
                prop_assert_eq!(safe, 0);
                Partitions::open(directory.path(), COUNT, settings).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        assert_holds(&partitions, &events[..safe]);
        push_all(&mut partitions, &events[safe..]);
        assert_holds(&partitions, &events);
    }

    #[test]
    fn memory_stays_within_the_budget_however_large_the_events_are(
        sizes in vec(prop_oneof![9 => 0_usize..2000, 1 => 0_usize..40_000], 1..200),
        spare in 1_usize..20,
        count in 1_usize..20,
    ) {
        let directory = tempfile::tempdir().unwrap();
        // What 40 000 bytes take beside all the rest: themselves, and being compressed.
        let largest = 1 << 20;
        let budget = 3 * count * SMALLEST_BLOCK + Sealer::bytes_for(BLOCK) + largest + spare * 4096;
        let mut partitions = Partitions::open(directory.path(), count, settings(budget)).unwrap();
        let events: Vec<_> =
            (1..).zip(&sizes).map(|(number, size)| event(number, *size)).collect();
        for event in &events {
            push(&mut partitions, event).unwrap();
            prop_assert!(partitions.memory_bytes() <= budget);
            prop_assert_eq!(partitions.memory_bytes(), really_held(&partitions));
        }
        prop_assert!(partitions.peak_bytes() <= budget);
        assert_holds(&partitions, &events);
        partitions.checkpoint(at(1)).unwrap();
        prop_assert_eq!(partitions.memory_bytes(), really_held(&partitions));
    }
}

/// Counted again from what there is.
fn really_held(partitions: &Partitions) -> usize {
    let held = |partition: &super::Partition| {
        let sealed: usize = partition.sealed.iter().map(|block| block.len()).sum();
        sealed + partition.open.capacity()
    };
    partitions.sealer.bytes() + partitions.all.iter().map(held).sum::<usize>()
}

#[test]
fn compressing_takes_no_more_memory_than_is_counted_for_it() {
    let mut sealer = Sealer::new(BLOCK);
    let noise = event(1, BLOCK).data;
    sealer.seal(&noise).unwrap();
    assert!(sealer.really_held() <= sealer.bytes(), "{}", sealer.really_held());
    sealer.seal(&event(1, 20 * BLOCK).data).unwrap();
    assert!(sealer.really_held() <= sealer.bytes(), "{}", sealer.really_held());
}

#[test]
fn an_event_larger_than_the_budget_goes_through() {
    let directory = tempfile::tempdir().unwrap();
    let events = [event(1, 100), event(2, 2 << 20), event(3, 100), event(9, 100)];
    let mut partitions = Partitions::open(directory.path(), COUNT, small()).unwrap();
    push_all(&mut partitions, &events);
    assert_holds(&partitions, &events);
    partitions.checkpoint(at(9)).unwrap();
    assert_holds(&partitions, &events);
    assert!(partitions.memory_bytes() <= small().budget_bytes);
}

#[test]
fn nothing_is_written_while_memory_suffices() {
    let directory = tempfile::tempdir().unwrap();
    let events: Vec<_> = (1..1000).map(|number| event(number, 1000)).collect();
    let mut partitions = Partitions::open(directory.path(), COUNT, large()).unwrap();
    push_all(&mut partitions, &events);
    assert_eq!(partitions.written_bytes(), 0);
    assert_holds(&partitions, &events);
}

#[test]
fn partitions_can_be_read_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    let events: Vec<_> = (1..200).map(|number| event(number, 1000)).collect();
    let mut partitions = Partitions::open(directory.path(), COUNT, small()).unwrap();
    push_all(&mut partitions, &events);
    let partitions = &partitions;
    let read = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..COUNT)
            .map(|partition| scope.spawn(move || read(partitions, partition).unwrap().len()))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>()
    });
    assert_eq!(read, events.len());
}

#[test]
fn a_build_that_is_begun_anew_finds_nothing_of_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    checkpointed(directory.path());
    let partitions = Partitions::open(directory.path(), COUNT, small()).unwrap();
    assert_holds(&partitions, &[]);
    drop(partitions);
    assert!(matches!(resume(directory.path()), Err(SpillError::NothingToResume { .. })));
}

#[test]
fn a_file_that_is_shorter_than_its_checkpoint_says_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    checkpointed(directory.path());
    let file = OpenOptions::new().write(true).open(some_file(directory.path())).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();

    let error = resume(directory.path()).unwrap_err();

    assert!(matches!(&error, SpillError::Torn { .. }), "{error}");
    fs::remove_file(some_file(directory.path())).unwrap();
    assert!(matches!(resume(directory.path()), Err(SpillError::Torn { .. })));
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    checkpointed(directory.path());
    let path = some_file(directory.path());
    let whole = fs::read(&path).unwrap();
    for at in (0..64).chain((64..whole.len()).step_by(997)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, damaged).unwrap();
        let found = resume(directory.path()).and_then(|resumed| {
            let partitions = resumed.partitions;
            (0..COUNT).try_for_each(|partition| read(&partitions, partition).map(drop))
        });
        assert!(matches!(found, Err(SpillError::Torn { .. })), "byte {at}: {found:?}");
    }
}

#[test]
fn a_damaged_manifest_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    checkpointed(directory.path());
    let path = directory.path().join("manifest");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x01;
        for content in [&damaged[..], &whole[..at]] {
            fs::write(&path, content).unwrap();
            let error = resume(directory.path()).unwrap_err();
            assert!(matches!(error, SpillError::Torn { .. }), "byte {at}: {error}");
        }
    }
}

#[test]
fn the_events_of_another_build_are_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let events = checkpointed(directory.path());
    let other = Settings { identity: "payments".to_owned(), ..small() };

    let error = Partitions::resume(directory.path(), other).unwrap_err();

    assert!(matches!(error, SpillError::Foreign { .. }), "{error}");
    let kept = resume(directory.path()).unwrap();
    assert_holds(&kept.partitions, &events);
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();

    let opened = Partitions::open(directory.path(), COUNT, small()).unwrap_err();
    let resumed = resume(directory.path()).unwrap_err();

    for error in [opened, resumed] {
        assert!(matches!(&error, SpillError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("letter.txt"), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn two_builds_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = Partitions::open(directory.path(), COUNT, small()).unwrap();
    let second = Partitions::open(directory.path(), COUNT, small());
    assert!(matches!(second, Err(SpillError::InUse { .. })));
    drop(first);
    Partitions::open(directory.path(), COUNT, small()).unwrap();
}

#[test]
fn what_is_discarded_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("build");
    checkpointed(&path);
    resume(&path).unwrap().partitions.discard().unwrap();
    assert!(!path.exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_says_how_much_room_is_needed_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { expected_bytes: 40 << 20, ..small() };
    let mut partitions = Partitions::open(directory.path(), COUNT, settings).unwrap();
    for number in 0..COUNT {
        let path = directory.path().join(format!("partition-{number:05}"));
        std::os::unix::fs::symlink("/dev/full", path).unwrap();
    }

    let (mut events, mut number) = (vec![], 0);
    let error = loop {
        number += 1;
        let event = event(number, 3000);
        match push(&mut partitions, &event) {
            Ok(()) => events.push(event),
            Err(error) => break error,
        }
    };

    let SpillError::Full { needed, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*needed, 10 << 20);
    assert!(error.to_string().contains("10 MiB"), "{error}");
    assert_eq!(events.len() as u64, partitions.events());
    assert!(partitions.memory_bytes() <= small().budget_bytes);
    // There is room again.
    for number in 0..COUNT {
        fs::remove_file(directory.path().join(format!("partition-{number:05}"))).unwrap();
    }
    partitions.all.iter_mut().for_each(|partition| partition.file.forget());
    push_all(&mut partitions, &[event(number, 3000)]);
    events.push(event(number, 3000));
    partitions.checkpoint(at(number)).unwrap();
    assert_holds(&partitions, &events);
}

#[test]
fn so_little_memory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let budget = small().budget_bytes - 1;
    let error = Partitions::open(directory.path(), COUNT, settings(budget)).unwrap_err();
    assert!(matches!(error, SpillError::SmallBudget { .. }), "{error}");
}

#[test]
fn the_partition_of_a_stream_never_changes() {
    let stream = "order-0192f0c1-7d2a-7b3c-8d4e-5f6071829304";
    let partitions: Vec<_> = [1, 7, 64, 512].map(|count| partition_of(stream, count)).into();
    assert_eq!(partitions, [0, 2, 61, 61]);
    // The published value for no bytes at all is 0x2d06800538d394c2.
    assert_eq!(partition_of("", 512), 0xc2);
}

#[test]
fn streams_are_spread_evenly() {
    let mut streams = [0_u32; 16];
    for number in 0..16_000 {
        streams[partition_of(&format!("order-{number}"), 16)] += 1;
    }
    assert!(streams.iter().all(|count| (850..1150).contains(count)), "{streams:?}");
}

#[test]
fn there_are_as_many_partitions_as_the_budget_asks_for() {
    const MIB: usize = 1 << 20;
    assert_eq!(partitions_for(0, MIB, 1), 1);
    assert_eq!(partitions_for(0, MIB, 2), 2, "nobody is idle");
    // Ten gigabytes, two partitions at a time in 256 MiB: each may have about 85 MiB.
    assert_eq!(partitions_for(10 << 30, 256 * MIB, 2), 128);
    assert_eq!(partitions_for(u64::MAX, MIB, 2), MOST_PARTITIONS);
}

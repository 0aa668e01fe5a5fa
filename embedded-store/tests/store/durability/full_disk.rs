//! A full disk: what does not fit is refused with `RESOURCE_EXHAUSTED` and not there, what is there
//! can be read, and writing goes on by itself when there is room.

use std::process::Command;

use eventstore::{Client, Error, EventData, ExpectedRevision, ReadStreamOptions};
use rand::Rng;
use tempfile::TempDir;

use super::disk::{Disk, ENOSPC, Fault, file, op};
use super::ledger::{Manner, is_disk_full};
use super::store::Store;
use super::victim::{NotStarted, Victim};
use super::{random, rounds};
use crate::harness::{append, event, id, read};

fn large(number: u32) -> EventData {
    EventData::binary("Large", vec![7; 50_000].into()).id(id(number.into()))
}

/// Appends until the disk is full. How many were taken.
async fn fill(client: &Client, first: u32) -> u32 {
    for number in first.. {
        match append(client, "s", ExpectedRevision::Any, vec![large(number)]).await {
            Ok(answer) => assert_eq!(answer.next_expected_version, u64::from(number)),
            Err(error) => {
                assert!(is_disk_full(&error), "{error:?}");
                return number;
            }
        }
    }
    unreachable!()
}

/// The ids of the stream, which are their revisions.
async fn kept(client: &Client) -> usize {
    let events = read(client, "s", &ReadStreamOptions::default()).await.unwrap();
    for (number, event) in (0..).zip(&events) {
        assert_eq!((event.id, event.revision), (id(number), u64::try_from(number).unwrap()));
    }
    events.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_takes_again_what_it_refused_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    let mut count = 0;
    for room in [500_000, 300_000, 1_000_000] {
        disk.limit(Some(room));
        count = fill(&client, count).await;
        assert_eq!(kept(&client).await, count as usize);
        let again = append(&client, "s", ExpectedRevision::Any, vec![large(count)]).await;
        assert!(again.is_err_and(|error| is_disk_full(&error)));
    }
    assert!(disk.refused() > 3);
    assert!(count > 15, "{count}");
    disk.limit(None);
    append(&client, "s", ExpectedRevision::Any, vec![large(count)]).await.unwrap();
    victim.kill().await;
    let victim = Victim::on(&disk).await.unwrap();
    assert_eq!(kept(&victim.client()).await, count as usize + 1);
    victim.stop().await;
}

/// The same on a file system that is really full.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_system_refuses_and_takes_again_what_it_refused_when_there_is_room() {
    let Some(mounted) = Mounted::new() else { return };
    let victim = Victim::start(&mounted.0.path().join("data")).await.unwrap();
    let client = victim.client();
    let ballast = mounted.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1_000_000]).unwrap();
    let count = fill(&client, 0).await;
    assert!(count > 5, "{count}");
    assert_eq!(kept(&client).await, count as usize);
    std::fs::remove_file(&ballast).unwrap();
    let more = fill(&client, count).await;
    assert!(more > count);
    victim.kill().await;
    // A start needs a little room for the index of the write-ahead log.
    match Victim::start(&mounted.0.path().join("data")).await {
        Ok(victim) => {
            assert_eq!(kept(&victim.client()).await, more as usize);
            victim.kill().await;
        }
        Err(NotStarted::Refused(reason)) => assert!(reason.contains("is full"), "{reason}"),
        Err(NotStarted::Killed) => panic!("it ended without a word"),
    }
}

/// A file system of a few megabytes in memory.
struct Mounted(TempDir);

impl Mounted {
    fn new() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(directory.path())
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(directory));
        }
        eprintln!("skipped: only a superuser may mount a small file system");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_the_start_is_served_from_and_written_to_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    for number in 0..30 {
        append(&client, "s", ExpectedRevision::Any, vec![large(number)]).await.unwrap();
    }
    victim.kill().await;
    // There is room for the index of the write-ahead log, but not to fold it.
    disk.limit(Some(100_000));
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    assert_eq!(kept(&client).await, 30);
    let refused = append(&client, "s", ExpectedRevision::Any, vec![large(30)]).await;
    assert!(refused.is_err_and(|error| is_disk_full(&error)));
    disk.limit(None);
    append(&client, "s", ExpectedRevision::Any, vec![large(30)]).await.unwrap();
    assert_eq!(kept(&client).await, 31);
    victim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_finds_no_room_at_all_says_so() {
    let Some(disk) = Disk::new() else { return };
    disk.limit(Some(0));
    let Err(NotStarted::Refused(reason)) = Victim::on(&disk).await else { panic!("it started") };
    assert!(reason.contains("is full") && reason.contains("data"), "{reason}");
    disk.limit(None);
    Victim::on(&disk).await.unwrap().stop().await;
}

/// The index of the write-ahead log grows last: the commit is on the disk, and would be found by
/// the next start, although it cannot be shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_or_may_not_have_been_written_to_a_full_disk_is_settled_before_anything_else() {
    for restart in [false, true] {
        let Some(disk) = Disk::new() else { return };
        let victim = Victim::on(&disk).await.unwrap();
        let client = victim.client();
        // Nothing is folded, so that the log has to grow beyond the first part of its index.
        disk.set_fault(Fault::fail(op::WRITE, file::DATABASE | file::INDEX, ENOSPC));
        let mut count = 0;
        let error = loop {
            let events = (count..count + 15).map(large).collect();
            match append(&client, "s", ExpectedRevision::Any, events).await {
                Ok(_) => count += 15,
                Err(error) => break error,
            }
        };
        let uncertain = "it is not certain whether the append was written";
        assert!(
            matches!(&error, Error::ServerError(text) if text.contains(uncertain)),
            "{error:?}"
        );
        assert_eq!(kept(&client).await, count as usize);
        let refused = append(&client, "s", ExpectedRevision::Any, vec![event(1_000_000)]).await;
        assert!(refused.is_err_and(|error| is_disk_full(&error)));
        disk.heal();
        let (victim, client) = if restart {
            victim.kill().await;
            let victim = Victim::on(&disk).await.unwrap();
            let client = victim.client();
            assert_eq!(kept(&client).await, count as usize + 15);
            (victim, client)
        } else {
            (victim, client)
        };
        let events = (count..count + 15).map(large).collect();
        append(&client, "s", ExpectedRevision::Any, events).await.unwrap();
        assert_eq!(kept(&client).await, count as usize + 15);
        victim.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_and_nothing_refused_is_there_when_the_disk_fills_up() {
    let Some(disk) = Disk::new() else { return };
    let manners = [Manner::Shared, Manner::Own(1, None), Manner::Doomed, Manner::Large];
    let mut store = Store::new(disk, random("full disk"), &manners);
    let mut refused = 0;
    for _ in 0..rounds(20) {
        if store.random.random_bool(0.3) {
            let room = store.random.random_range(0..200_000);
            store.disk.limit(Some(room));
        }
        match Victim::on(&store.disk).await {
            Ok(victim) => {
                for _ in 0..3 {
                    let room = store.random.random_range(0..700_000);
                    store.disk.limit(Some(room));
                    store.write(&victim, 30).await;
                }
                if store.random.random_bool(0.5) {
                    victim.stop().await;
                } else {
                    victim.kill().await;
                }
            }
            Err(NotStarted::Refused(reason)) => {
                assert!(reason.contains("is full"), "{reason}");
                refused += 1;
            }
            Err(NotStarted::Killed) => panic!("it ended without a word"),
        }
        store.disk.limit(None);
        store.check().await;
    }
    let full = store.disk.refused();
    println!("{full} writes did not fit, {refused} starts were refused");
    assert!(full > 20);
}

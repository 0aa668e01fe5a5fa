//! A disk that fails: writes, fsyncs and everything else, once, for a while or for ever, at any
//! moment from the start to the end of a server.

use eventstore::{Error, ExpectedRevision, ReadStreamOptions};
use rand::Rng;
use rand::rngs::StdRng;

use super::disk::{Action, Disk, EIO, ENOSPC, FOR_EVER, Fault, file, op};
use super::ledger::Manner;
use super::store::Store;
use super::victim::{NotStarted, Victim};
use super::{random, rounds};
use crate::harness::{append, event, events, number, read};

/// Writes of the log that fail, and what clients and a later start make of it.
async fn fails_for_good(operation: u64) {
    let Some(disk) = Disk::new() else { return };
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    append(&client, "s", ExpectedRevision::NoStream, events(0..5)).await.unwrap();
    disk.set_fault(Fault::fail(operation, file::LOG, EIO).once());
    let failed = append(&client, "s", ExpectedRevision::Exact(4), vec![event(5)]).await;
    assert!(
        matches!(&failed, Err(Error::ServerError(text)) if text.contains("takes no more writes")),
        "{failed:?}"
    );
    assert_eq!(disk.hit(), 1);
    // The disk is well again, but nobody knows what it has kept.
    for expected in [ExpectedRevision::Exact(4), ExpectedRevision::Any] {
        let later = append(&client, "s", expected, vec![event(5)]).await;
        assert!(matches!(later, Err(Error::ServerError(_))), "{later:?}");
    }
    let repeated = append(&client, "s", ExpectedRevision::NoStream, events(0..5)).await;
    assert!(matches!(repeated, Err(Error::ServerError(_))), "{repeated:?}");
    let kept = read(&client, "s", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(kept.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    victim.stop().await;
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    let answer = append(&client, "s", ExpectedRevision::Exact(4), vec![event(5)]).await.unwrap();
    assert_eq!(answer.next_expected_version, 5);
    let kept = read(&client, "s", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(kept.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    victim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_fsync_nothing_is_written_until_a_new_start_and_reads_go_on() {
    fails_for_good(op::SYNC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_write_nothing_is_written_until_a_new_start_and_reads_go_on() {
    fails_for_good(op::WRITE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_are_only_done_in_part_are_carried_on() {
    let Some(disk) = Disk::new() else { return };
    let (operations, files, skip, count) = (op::WRITE, file::ANY, 0, FOR_EVER);
    disk.set_fault(Fault { action: Action::Short, operations, files, skip, count, error: 0 });
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    append(&client, "s", ExpectedRevision::NoStream, events(0..200)).await.unwrap();
    victim.kill().await;
    let victim = Victim::on(&disk).await.unwrap();
    let kept = read(&victim.client(), "s", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(kept.iter().map(number).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(disk.hit() > 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_beside_the_writer_ends_the_writing_soon() {
    let Some(disk) = Disk::new() else { return };
    let victim = Victim::on(&disk).await.unwrap();
    let client = victim.client();
    disk.set_fault(Fault::fail(op::SYNC, file::DATABASE, EIO));
    let mut answered = 0;
    let refused = loop {
        match append(&client, "s", ExpectedRevision::Any, vec![event(answered)]).await {
            Ok(_) => answered += 1,
            Err(error) => break error,
        }
    };
    let told =
        matches!(&refused, Error::ServerError(text) if text.contains("takes no more writes"));
    assert!(told, "{refused:?}");
    // The writer would have noticed at 48 MiB.
    let log = std::fs::metadata(disk.data().join("events.sqlite-wal")).unwrap().len();
    assert!(log < 40_000_000, "{log} bytes after {answered} appends");
    victim.kill().await;
}

/// `SQLite` keeps quiet when it cannot fold its write-ahead log into the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_folded_ends_the_writing_before_it_fills_the_disk() {
    let Some(disk) = Disk::new() else { return };
    let mut store = Store::new(disk, random("folding fails"), &[Manner::Large]);
    let victim = Victim::on(&store.disk).await.unwrap();
    store.disk.set_fault(Fault::fail(op::SYNC, file::DATABASE, EIO));
    store.write(&victim, 1_000).await;
    let log = std::fs::metadata(store.disk.data().join("events.sqlite-wal")).unwrap().len();
    assert!(log < 80_000_000, "{log}");
    let later = append(&victim.client(), "s", ExpectedRevision::Any, vec![event(0)]).await;
    assert!(matches!(later, Err(Error::ServerError(_))), "{later:?}");
    victim.kill().await;
    store.disk.heal();
    store.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_whatever_fails() {
    let Some(disk) = Disk::new() else { return };
    let manners = [Manner::Shared, Manner::Own(1, None), Manner::Doomed, Manner::Shared];
    let mut store = Store::new(disk, random("failing disk"), &manners);
    let (mut refused, mut hit) = (0, 0);
    for _ in 0..rounds(120) {
        let fault = any_fault(&mut store.random);
        println!("{fault:?}");
        store.disk.set_fault(fault);
        match Victim::on(&store.disk).await {
            Ok(victim) => {
                store.write(&victim, 25).await;
                if store.random.random_bool(0.5) {
                    victim.stop().await;
                } else {
                    victim.kill().await;
                }
            }
            Err(NotStarted::Refused(reason)) => {
                assert!(reason.contains(store.disk.data().to_str().unwrap()), "{reason}");
                refused += 1;
            }
            Err(NotStarted::Killed) => panic!("it ended without a word"),
        }
        hit += u32::from(store.disk.hit() > 0);
        store.disk.heal();
        store.check().await;
    }
    println!("{hit} lives met an error, {refused} starts were refused");
    assert!(hit > 20);
}

/// Any operation on any file.
fn any_fault(random: &mut StdRng) -> Fault {
    let mut one_of = |choices: &[u64]| choices[random.random_range(0..choices.len())];
    let operations = one_of(&[
        op::WRITE,
        op::SYNC,
        op::SYNC,
        op::TRUNCATE,
        op::UNLINK,
        op::OPEN,
        op::READ,
        op::CHANGES,
    ]);
    let files = one_of(&[file::DATABASE, file::LOG, file::INDEX, file::ANY, file::ANY]);
    let error = one_of(&[EIO, EIO, ENOSPC]);
    let count = one_of(&[1, 1, 3, FOR_EVER]);
    let skip = if random.random_bool(0.3) { 0 } else { random.random_range(0..120) };
    Fault { action: Action::Fail, operations, files, skip, count, error }
}

//! Erasing a person.

use chrono::TimeDelta;
use domain::data_key::{DataKey, DataKeyCommand};
use domain::erasure::{ErasureEvent, PersonErased};
use journal::Repository;
use keyring::{Erased, Opened, SECONDS_REMEMBERED};

use crate::store::{Store, contact, context, jane, open, seal};

#[tokio::test]
async fn who_is_erased_is_erased_everywhere() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    assert_eq!(open(&keyring, &sealed).await.unwrap(), Opened::Clear(contact()));

    assert_eq!(keyring.erase(jane(), context()).await.unwrap(), Erased::Now);
    for keyring in [keyring, store.keyring()] {
        assert_eq!(open(&keyring, &sealed).await.unwrap(), Opened::Erased);
        assert_eq!(open(&keyring, &sealed).await.unwrap(), Opened::Erased);
    }
}

#[tokio::test]
async fn a_node_that_knows_the_key_forgets_it_in_time() {
    let store = Store::start().await;
    let (here, there) = (store.keyring(), store.keyring());
    let sealed = seal(&here).await;
    assert_eq!(open(&there, &sealed).await.unwrap(), Opened::Clear(contact()));
    here.erase(jane(), context()).await.unwrap();

    store.clock.advance(TimeDelta::seconds(SECONDS_REMEMBERED));
    assert_eq!(open(&there, &sealed).await.unwrap(), Opened::Erased);
}

#[tokio::test]
async fn an_erasure_says_when_on_whose_word_and_which_key() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    let context = context();
    keyring.erase(jane(), context.clone()).await.unwrap();

    let log = store.log().await;
    let event = log.iter().find(|event| event.event_type == "person-erased").unwrap();
    let erased = PersonErased { keys: vec![sealed.key], request: context.command_id };
    assert_eq!(event.decode(), Ok(ErasureEvent::Erased(erased)));
    assert_eq!(event.stream.as_str(), format!("erasure-{}", jane()));
    assert_eq!(event.metadata.actor, context.actor);
}

#[tokio::test]
async fn the_erasure_is_noted_first_and_the_key_is_not_the_last_of_its_stream() {
    let store = Store::start().await;
    let keyring = store.keyring();
    seal(&keyring).await;
    keyring.erase(jane(), context()).await.unwrap();
    // The event store keeps the last event of a stream that is deleted.
    assert_eq!(store.recorded().await, ["person-erased", "data-key-destroyed"]);
}

#[tokio::test]
async fn erasing_again_changes_nothing() {
    let store = Store::start().await;
    let keyring = store.keyring();
    assert_eq!(keyring.erase(jane(), context()).await.unwrap(), Erased::Nothing);
    assert_eq!(store.recorded().await, [""; 0]);

    seal(&keyring).await;
    let context = context();
    assert_eq!(keyring.erase(jane(), context.clone()).await.unwrap(), Erased::Now);
    assert_eq!(keyring.erase(jane(), context).await.unwrap(), Erased::Before);
    assert_eq!(keyring.erase(jane(), crate::store::context()).await.unwrap(), Erased::Before);
    assert_eq!(store.recorded().await.len(), 2);
}

#[tokio::test]
async fn who_comes_back_gets_a_new_key_and_what_was_stays_erased() {
    let store = Store::start().await;
    let (here, there) = (store.keyring(), store.keyring());
    let before = seal(&here).await;
    here.erase(jane(), context()).await.unwrap();
    assert_eq!(open(&there, &before).await.unwrap(), Opened::Erased);

    let since = seal(&here).await;
    assert_ne!(since.key, before.key);
    // This one just learned that there is no key, but must not believe it of a newer one.
    for keyring in [&here, &there] {
        assert_eq!(open(keyring, &since).await.unwrap(), Opened::Clear(contact()));
        assert_eq!(open(keyring, &before).await.unwrap(), Opened::Erased);
    }
}

#[tokio::test]
async fn a_request_that_comes_late_spares_who_came_back() {
    let store = Store::start().await;
    let keyring = store.keyring();
    seal(&keyring).await;
    let request = context();
    keyring.erase(jane(), request.clone()).await.unwrap();
    let since = seal(&keyring).await;

    assert_eq!(keyring.erase(jane(), request).await.unwrap(), Erased::Before);
    assert_eq!(open(&keyring, &since).await.unwrap(), Opened::Clear(contact()));
    assert_eq!(keyring.erase(jane(), context()).await.unwrap(), Erased::Now);
    assert_eq!(open(&keyring, &since).await.unwrap(), Opened::Erased);
}

#[tokio::test]
async fn an_erasure_that_was_interrupted_counts_and_is_finished_by_whoever_comes_next() {
    for whoever in ["opens", "seals", "erases"] {
        let store = Store::start().await;
        let keyring = store.keyring();
        let sealed = seal(&keyring).await;
        // As far as it gets when it is killed before the stream is deleted.
        let keys = Repository::<DataKey>::new(store.journal(), 0);
        let destroy = DataKeyCommand::Destroy { key_id: sealed.key };
        keys.execute(&jane(), destroy, context()).await.unwrap();
        assert_eq!(store.recorded().await, ["data-key-created", "data-key-destroyed"]);

        let next = store.keyring();
        let mut expected = vec!["data-key-destroyed"];
        match whoever {
            "opens" => assert_eq!(open(&next, &sealed).await.unwrap(), Opened::Erased),
            "seals" => {
                assert_ne!(seal(&next).await.key, sealed.key);
                // The stream goes on, and its last event is another one now.
                expected = vec!["data-key-destroyed", "data-key-created"];
            }
            _ => assert_eq!(next.erase(jane(), context()).await.unwrap(), Erased::Now),
        }
        assert_eq!(store.recorded().await, expected, "who comes next {whoever}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_erase_and_seal_at_once_leave_one_key_or_none() {
    let store = Store::start().await;
    let keyrings: Vec<_> = (0..4).map(|_| store.keyring()).collect();
    let first = seal(&keyrings[0]).await;
    let erasing = keyrings.iter().map(|keyring| keyring.erase(jane(), context()));
    let sealing = keyrings.iter().map(seal);
    let (erased, sealed) =
        tokio::join!(futures::future::join_all(erasing), futures::future::join_all(sealing));
    for erased in erased {
        erased.unwrap();
    }

    let fresh = store.keyring();
    assert_eq!(open(&fresh, &first).await.unwrap(), Opened::Erased);
    let mut readable = Vec::new();
    for sealed in sealed {
        if let Opened::Clear(_) = open(&fresh, &sealed).await.unwrap() {
            readable.push(sealed.key);
        }
    }
    readable.dedup();
    assert!(readable.len() <= 1, "{readable:?}");
}

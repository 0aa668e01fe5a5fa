//! Sealing and opening.

use domain::ids::SubjectId;
use domain::personal::Sealed;
use futures::future::join_all;
use keyring::{Error, Opened, Place};
use schemas::StreamName;
use uuid::Uuid;

use crate::store::{EVENT_TYPE, FIELD, Store, contact, jane, open, seal, stream};

#[tokio::test]
async fn what_one_node_seals_another_opens() {
    let store = Store::start().await;
    let sealed = seal(&store.keyring()).await;
    assert_eq!((sealed.subject, &*sealed.sealed_in), (jane(), EVENT_TYPE));
    assert_eq!(open(&store.keyring(), &sealed).await.unwrap(), Opened::Clear(contact()));
}

#[tokio::test]
async fn sealed_again_it_is_the_same_value_also_on_another_node() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    assert_eq!(seal(&keyring).await, sealed);
    assert_eq!(seal(&store.keyring()).await, sealed);
    let elsewhere = Place { stream: &stream(), event_type: EVENT_TYPE, field: "billing-contact" };
    let other = keyring.seal(jane(), &elsewhere, &contact()).await.unwrap();
    assert_ne!(other.ciphertext, sealed.ciphertext);
    assert_eq!(store.recorded().await, ["data-key-created"]);
}

#[tokio::test]
async fn another_stream_event_type_or_field_does_not_open_it() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    let other_stream: StreamName = "order-00000000-0000-0000-0000-00000000000b".parse().unwrap();
    let relabelled = Sealed { sealed_in: "order-edited".to_owned(), ..sealed.clone() };
    let here = stream();
    for (sealed, place) in [
        (&sealed, Place::of(&sealed, &other_stream, FIELD)),
        (&sealed, Place { stream: &here, event_type: "order-edited", field: FIELD }),
        (&sealed, Place { stream: &here, event_type: EVENT_TYPE, field: "shipping-address" }),
        (&relabelled, Place::of(&relabelled, &here, FIELD)),
    ] {
        let opened = keyring.open::<serde_json::Value>(&place, sealed).await;
        assert!(matches!(opened, Err(Error::NotAuthentic { .. })), "{place:?}: {opened:?}");
    }
}

#[tokio::test]
async fn tampering_is_noticed() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    let mut changed = sealed.clone();
    let first = if changed.ciphertext.starts_with('A') { "B" } else { "A" };
    changed.ciphertext.replace_range(..1, first);
    assert!(matches!(open(&keyring, &changed).await, Err(Error::NotAuthentic { .. })));
    changed.ciphertext.clear();
    assert!(matches!(open(&keyring, &changed).await, Err(Error::NotAuthentic { .. })));

    // Passed off as another person's.
    let john = SubjectId(Uuid::from_u128(0x0a4e));
    let place = Place { stream: &stream(), event_type: EVENT_TYPE, field: FIELD };
    let johns = keyring.seal(john, &place, &contact()).await.unwrap();
    let passed_off = Sealed { subject: john, key: johns.key, ..sealed.clone() };
    assert!(matches!(open(&keyring, &passed_off).await, Err(Error::NotAuthentic { .. })));
}

#[tokio::test]
async fn data_of_another_shape_are_an_error_that_does_not_quote_them() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    let opened = keyring.open::<u64>(&Place::of(&sealed, &stream(), FIELD), &sealed).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, Error::Shape { .. }));
    assert!(!format!("{error} {error:?}").contains("Quillfeather"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_seal_at_once_agree_on_one_key() {
    let store = Store::start().await;
    let keyrings: Vec<_> = (0..8).map(|_| store.keyring()).collect();
    let sealed = join_all(keyrings.iter().flat_map(|keyring| [seal(keyring), seal(keyring)])).await;
    assert!(sealed.iter().all(|it| *it == sealed[0]), "{sealed:?}");
    assert_eq!(store.recorded().await, ["data-key-created"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_orders_of_many_people_opens_at_once() {
    let store = Store::start().await;
    let writer = store.keyring();
    let (writer, here) = (&writer, &stream());
    let people = (0..50).map(|number| SubjectId(Uuid::from_u128(number)));
    let sealing = people.map(|person| async move {
        let place = Place { stream: here, event_type: EVENT_TYPE, field: FIELD };
        writer.seal(person, &place, &contact()).await.unwrap()
    });
    let page = join_all(sealing).await;
    let reader = store.keyring();
    // Everybody's data twice, as name and address are.
    let opened = join_all(page.iter().chain(&page).map(|sealed| open(&reader, sealed))).await;
    assert!(opened.into_iter().all(|it| it.unwrap() == Opened::Clear(contact())));
}

#[tokio::test]
async fn nothing_is_printed_in_clear() {
    let store = Store::start().await;
    let keyring = store.keyring();
    let sealed = seal(&keyring).await;
    let opened = open(&keyring, &sealed).await.unwrap();
    let printed = format!("{keyring:?} {sealed:?} {opened:?}");
    for secret in ["Quillfeather", &*sealed.ciphertext] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

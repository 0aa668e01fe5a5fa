//! Master keys that change or are not there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyring::{Erased, Error, MasterKeys, Opened, Place};

use crate::store::{FIELD, Store, contact, context, jane, open, seal, stream};

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

#[tokio::test]
async fn without_the_right_master_key_nothing_is_opened_sealed_or_replaced() {
    let store = Store::start().await;
    let sealed = seal(&store.keyring()).await;
    let stranger = store.keyring_with(MasterKeys::random());
    let opened = open(&stranger, &sealed).await;
    let Err(Error::MasterKeyMissing { master_key_id, .. }) = opened else { panic!("{opened:?}") };
    assert_eq!(master_key_id, store.masters.id());
    let here = stream();
    let place = Place::of(&sealed, &here, FIELD);
    let again = stranger.seal(jane(), &place, &contact()).await;
    assert!(matches!(again, Err(Error::MasterKeyMissing { .. })), "{again:?}");
    assert_eq!(store.recorded().await, ["data-key-created"]);
}

#[tokio::test]
async fn erasing_needs_no_master_key() {
    let store = Store::start().await;
    let sealed = seal(&store.keyring()).await;
    let stranger = store.keyring_with(MasterKeys::random());
    assert_eq!(stranger.erase(jane(), context()).await.unwrap(), Erased::Now);
    assert_eq!(open(&store.keyring(), &sealed).await.unwrap(), Opened::Erased);
}

#[tokio::test]
async fn after_a_rotation_old_keys_still_open_and_new_ones_are_wrapped_under_the_new_master_key() {
    let store = Store::start().await;
    let before = store.keyring_with(MasterKeys::parse(&key(1)).unwrap());
    let sealed = seal(&before).await;
    let both = MasterKeys::parse(&format!("{}\n{}", key(2), key(1))).unwrap();
    let rotated = store.keyring_with(both);
    assert_eq!(open(&rotated, &sealed).await.unwrap(), Opened::Clear(contact()));
    assert_eq!(seal(&rotated).await, sealed);

    rotated.erase(jane(), context()).await.unwrap();
    let sealed = seal(&rotated).await;
    let after = store.keyring_with(MasterKeys::parse(&key(2)).unwrap());
    assert_eq!(open(&after, &sealed).await.unwrap(), Opened::Clear(contact()));
    assert!(matches!(
        open(&store.keyring_with(MasterKeys::parse(&key(1)).unwrap()), &sealed).await,
        Err(Error::MasterKeyMissing { .. })
    ));
}

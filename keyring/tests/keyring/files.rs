//! What can be found in the files of the event store.

use domain::data_key::DataKeyEvent;

use crate::store::{Store, context, holds, jane, seal};

#[tokio::test]
async fn files_hold_no_clear_text_and_after_an_erasure_no_key() {
    let store = Store::start().await;
    let keyring = store.keyring();
    seal(&keyring).await;
    let log = store.log().await;
    let Ok(DataKeyEvent::Created(created)) = log[0].decode() else { panic!("{log:?}") };
    assert!(holds(&store.folder(), created.wrapped.as_bytes()), "it is looked for rightly");
    for clear in ["Quillfeather", "quillfeather.example"] {
        assert!(!holds(&store.folder(), clear.as_bytes()), "{clear}");
    }

    keyring.erase(jane(), context()).await.unwrap();
    assert!(!holds(&store.folder(), created.wrapped.as_bytes()));
    assert!(!holds(&store.folder(), &created.wrapped.as_bytes()[16..48]));
}

//! Personal data: sealed wherever they are kept, and gone once the person is erased.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::data_key::DataKeyEvent;
use futures::TryStreamExt as _;
use journal::{Journal, SystemClock};
use private_postgres::{Binaries, Cluster};
use serde_json::{Value, json};

use crate::running::{Api, Folder, Store, await_value, output_of, run};

/// Parts of what the customer tells us, long enough to be found by accident nowhere.
const TOLD: [&str; 8] = [
    "Quillfeather",
    "jane@quillfeather.example",
    "+44 20 7946 0321",
    "17 Larkspur Crescent",
    "Nether Wallop",
    "Brambleway Holdings",
    "ring twice, the dog is deaf",
    "gift for Ottoline",
];

fn told_as_customer() -> Value {
    json!({
        "contact": {
            "name": "Jane Quillfeather",
            "email": "jane@quillfeather.example",
            "phone": "+44 20 7946 0321",
        },
        "shippingAddress": {
            "name": "Jane Quillfeather",
            "lines": ["17 Larkspur Crescent"],
            "city": "Nether Wallop",
            "country": "GB",
        },
        "billingAddress": {
            "name": "Jane Quillfeather",
            "company": "Brambleway Holdings",
            "lines": ["17 Larkspur Crescent"],
            "city": "Nether Wallop",
            "country": "GB",
        },
        "note": "ring twice, the dog is deaf",
        "customer": "c-4711",
    })
}

fn told_as_guest() -> Value {
    json!({
        "contact": { "name": "J. Quillfeather", "email": "jane@quillfeather.example" },
        "note": "gift for Ottoline",
    })
}

/// A store in which somebody bought as a customer and as a guest, and somebody else as well.
struct Shop {
    store: Store,
    folder: Folder,
    /// Placed as customer `c-4711`.
    known: String,
    /// Placed as a guest; belongs to `c-4711` since.
    guest: String,
    /// Placed by customer `c-9`.
    other: String,
}

const ORDER: &str = "query($id: UUID!) { \
    order(id: $id) { status originalTotal { amount } contact { name email phone erased } \
        shippingAddress { name lines city erased } billingAddress { company erased } \
        note { text erased } } \
    placed: order(id: $id, asOf: { revision: 0 }) { contact { name erased } note { text } } \
    orderHistory(id: $id, first: 100) { nodes { type note { text } changes { before after } } } }";

impl Shop {
    async fn open() -> Self {
        let folder = Folder::new();
        let store = Store::up(&folder).await;
        let api = store.api.clone();
        api.receive("MUG", 9).await;
        let place = async |key: &str, more: Value| {
            api.try_place_with("MUG", key, "tok_ok", more).await.unwrap()
        };
        let known = place("known", told_as_customer()).await;
        let guest = place("guest", told_as_guest()).await;
        let contact = json!({ "name": "Somebody Else" });
        let other = place("other", json!({ "customer": "c-9", "contact": contact })).await;
        attach(&api, &guest, "c-4711").await;
        for order in [&known, &guest, &other] {
            assert_eq!(api.settled(order).await, "COMPLETED");
        }
        Self { store, folder, known, guest, other }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The order as it is, as it was when it was placed, and all that happened to it.
    async fn order(&self, id: &str) -> Value {
        self.store.api.run(ORDER, json!({ "id": id })).await
    }

    fn erase(&self, whom: &[&str]) -> String {
        let data = self.data();
        let at = ["--data-dir", data.to_str().unwrap()];
        output_of(&run(&[&["erase-customer"], whom, &at].concat()))
    }

    fn journal(&self) -> Journal {
        let address = self.store.journal.parse().unwrap();
        Journal::connect(journal::Options::new(address), std::sync::Arc::new(SystemClock)).unwrap()
    }

    /// The wrapped keys that the log holds, as they stand in its files.
    async fn wrapped_keys(&self) -> Vec<String> {
        let all = self.journal().read_all(journal::Position::START);
        let events: Vec<_> = all.try_collect().await.unwrap();
        let keys = events.into_iter().filter_map(|event| match event.decode().ok()? {
            DataKeyEvent::Created(created) => Some(created.wrapped),
            DataKeyEvent::Destroyed(_) => None,
        });
        keys.collect()
    }

    /// All that Postgres holds, as text, however it is stored.
    fn dump(&self) -> String {
        let database = Cluster::url_of_running(&self.data().join("postgres")).unwrap();
        let pg_dump = Binaries::find(None).unwrap().dir().join("pg_dump");
        let output = Command::new(pg_dump).arg("--dbname").arg(database).output().unwrap();
        output_of(&output)
    }

    /// Fails if any of `texts` can be found in what is kept anywhere.
    #[track_caller]
    fn assert_nowhere(&self, texts: &[&str]) {
        let dump = self.dump();
        assert!(dump.contains("c-4711"), "the dump is not one of this shop");
        for text in texts {
            assert!(!dump.contains(text), "Postgres holds `{text}`");
        }
        let mut files = Vec::new();
        files_below(self.folder.path(), &mut files);
        // What the simulated carrier was told is its own.
        let partners = self.data().join("partners");
        for file in files.iter().filter(|file| !file.starts_with(&partners)) {
            // Postgres may take a file away while we look.
            let Ok(content) = fs::read(file) else { continue };
            for text in texts {
                let found = content.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "{} holds `{text}`", file.display());
            }
        }
    }
}

async fn attach(api: &Api, order: &str, customer: &str) {
    let query = "mutation($input: OrderCustomerAttachInput!) { \
        it: orderCustomerAttach(input: $input) { userErrors { message } } }";
    let input = json!({ "id": order, "customer": customer, "idempotencyKey": "attach" });
    let answer = api.run(query, json!({ "input": input })).await;
    assert_eq!(answer["it"]["userErrors"], json!([]));
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files_below(&entry.path(), files),
            kind if kind.is_file() => files.push(entry.path()),
            _socket => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_found_nowhere_and_orders_stay_as_they_were() {
    let shop = Shop::open().await;
    let known = shop.order(&shop.known).await;
    assert_eq!(known["order"]["contact"]["email"], "jane@quillfeather.example");
    assert_eq!(known["order"]["shippingAddress"]["lines"], json!(["17 Larkspur Crescent"]));
    assert_eq!(known["order"]["billingAddress"]["company"], "Brambleway Holdings");
    assert_eq!(known["order"]["note"]["text"], "ring twice, the dog is deaf");
    assert_eq!(known["placed"]["contact"]["name"], "Jane Quillfeather");
    assert!(known["orderHistory"].to_string().contains("Nether Wallop"));
    // In clear it was nowhere, not even before.
    shop.assert_nowhere(&TOLD);
    let keys = shop.wrapped_keys().await;
    assert_eq!(keys.len(), 3);

    assert_eq!(shop.erase(&["c-4711"]), "Erased. Keys destroyed: 2.\n");
    for id in [&shop.known, &shop.guest] {
        let answer = shop.order(id).await;
        let order = &answer["order"];
        assert_eq!(order["status"], "COMPLETED");
        assert_eq!(order["originalTotal"]["amount"], "1.00");
        let nobody = json!({ "name": null, "email": null, "phone": null, "erased": true });
        assert_eq!(order["contact"], nobody);
        assert_eq!(order["note"], json!({ "text": null, "erased": true }));
        assert_eq!(answer["placed"]["contact"], json!({ "name": null, "erased": true }));
        for text in TOLD {
            assert!(!answer.to_string().contains(text), "`{text}` in {answer}");
        }
    }
    let erased = shop.order(&shop.known).await;
    assert_eq!(erased["order"]["shippingAddress"]["erased"], true);
    let address = json!({ "company": null, "erased": true });
    assert_eq!(erased["order"]["billingAddress"], address);
    let other = shop.order(&shop.other).await;
    assert_eq!(other["order"]["contact"]["name"], "Somebody Else");

    let left = shop.wrapped_keys().await;
    assert_eq!(left.len(), 1, "the other customer's");
    let gone: Vec<_> = keys.iter().filter(|key| !left.contains(key)).map(String::as_str).collect();
    shop.assert_nowhere(&[&TOLD[..], &gone].concat());
    assert_eq!(shop.erase(&["c-4711"]), "Erased before: there was nothing left to erase.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_after_an_erasure_gives_the_same_read_models() {
    let shop = Shop::open().await;
    shop.erase(&["c-4711"]);
    let query = "{ orders(first: 10) { nodes { id status originalTotal { amount } customer \
        contact { name erased } note { text erased } } } }";
    let before = shop.store.api.run(query, json!({})).await;
    let data = shop.data();
    let rebuild = ["projections", "rebuild", "--all", "--data-dir", data.to_str().unwrap()];
    output_of(&run(&rebuild));
    assert_eq!(shop.store.api.run(query, json!({})).await, before);
    shop.assert_nowhere(&TOLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_erased_by_the_number_of_their_order() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    store.api.receive("MUG", 1).await;
    let order = store.api.try_place_with("MUG", "guest", "tok_ok", told_as_guest()).await.unwrap();
    let query = "query($id: UUID!) { order(id: $id) { number contact { erased } } }";
    let number = await_value(async || {
        let answer = store.api.try_run(query, &json!({ "id": order })).await.ok()?;
        answer["order"]["number"].as_str().map(str::to_owned)
    })
    .await;

    let data = folder.path().join("data");
    let at = ["--data-dir", data.to_str().unwrap()];
    let erased = run(&[&["erase-customer", "--order", &number, "--yes"], &at[..]].concat());
    assert_eq!(output_of(&erased), "Erased. Keys destroyed: 1.\n");
    let answer = store.api.run(query, json!({ "id": order })).await;
    assert_eq!(answer["order"]["contact"]["erased"], true);
    let unknown = run(&[&["erase-customer", "nobody"], &at[..]].concat());
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("check the spelling"));
}

#[test]
fn roles_that_see_personal_data_do_not_start_without_a_master_key() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let api = ["api", "--development", "--data-dir", data.to_str().unwrap()];
    let api = [&api[..], &["--database-url", "postgres://nobody@127.0.0.1:1/nothing"]].concat();
    let partners = "http://127.0.0.1:1";
    let managers = ["process-managers", "--payment-gateway", partners, "--carrier", partners];
    for role in [&api[..], &managers] {
        let refused = run(role);
        assert!(!refused.status.success());
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(complaint.contains("--master-key-file"), "{complaint}");
    }
}

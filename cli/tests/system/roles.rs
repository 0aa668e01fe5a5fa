//! Every role as a process of its own, against the same stores.

use serde_json::json;

use crate::running::{Api, Folder, Process, Store, await_value, output_of, run, spawn};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Roles {
    api: Api,
    _stores: (Process, private_postgres::Cluster),
    partners: String,
    projector: Process,
    _others: [Process; 3],
    folder: Folder,
    database: String,
    event_store: String,
}

impl Roles {
    async fn start() -> Self {
        let folder = Folder::new();
        let postgres = private_postgres::Cluster::temporary().await.unwrap();
        let database = postgres.url();
        let ports = [free_port(), free_port(), free_port()];
        let [event_store_port, partners_port, http_port] = ports.map(|it| it.to_string());
        let event_store = format!("esdb://127.0.0.1:{event_store_port}?tls=false");
        let partners = format!("http://127.0.0.1:{partners_port}");
        let data = folder.path().join("data");
        let data = data.to_str().unwrap();
        let master_key = folder.path().join("master-key");
        std::fs::write(&master_key, "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=").unwrap();
        let master_key = master_key.to_str().unwrap();

        // The roles start first: none of them may need another to be up already.
        let api = spawn(
            &folder,
            "api",
            &[
                "api",
                "--event-store",
                &event_store,
                "--database-url",
                &database,
                "--http-port",
                &http_port,
                "--development",
                "--data-dir",
                data,
                "--master-key-file",
                master_key,
            ],
        );
        let managers = spawn(
            &folder,
            "process-managers",
            &[
                "process-managers",
                "--event-store",
                &event_store,
                "--payment-gateway",
                &partners,
                "--carrier",
                &partners,
                "--master-key-file",
                master_key,
            ],
        );
        let projector = start_projector(&folder, &event_store, &database);
        output_of(&run(&["migrate", "--database-url", &database]));
        let store = spawn(
            &folder,
            "event-store",
            &["event-store", "--port", &event_store_port, "--data-dir", data],
        );
        let partner = spawn(&folder, "partners", &["partners", "--port", &partners_port]);

        let token_file = folder.path().join("data/development-token");
        let token = await_value(async || std::fs::read_to_string(&token_file).ok()).await;
        let client = Api::new(&format!("http://127.0.0.1:{http_port}"), &token);
        client.ready().await;
        Self {
            api: client,
            _stores: (store, postgres),
            partners,
            projector,
            _others: [api, managers, partner],
            folder,
            database,
            event_store,
        }
    }
}

fn start_projector(folder: &Folder, event_store: &str, database: &str) -> Process {
    spawn(
        folder,
        "projector",
        &["projector", "--event-store", event_store, "--database-url", database],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_run_as_separate_processes_against_the_same_stores() {
    let mut roles = Roles::start().await;
    roles.api.receive("MUG", 3).await;
    let order = roles.api.try_place("MUG", "one", "tok_ok").await.unwrap();
    assert_eq!(roles.api.settled(&order).await, "COMPLETED");

    // Without a projector orders are still accepted and fulfilled; it catches up later.
    roles.projector.kill();
    let order = roles.api.try_place("MUG", "two", "tok_ok").await.unwrap();
    let captured = async || {
        let url = format!("{}/payments", roles.partners);
        let all: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let captures = all["payments"].as_array()?.iter().filter(|it| it["captures"] == 1).count();
        (captures == 2).then_some(())
    };
    await_value(captured).await;
    let unseen =
        roles.api.run("query($id: UUID!) { order(id: $id) { id } }", json!({ "id": order })).await;
    assert_eq!(unseen["order"], json!(null));
    roles.projector = start_projector(&roles.folder, &roles.event_store, &roles.database);
    assert_eq!(roles.api.settled(&order).await, "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_store_that_was_chosen_has_to_be_named_again() {
    let folder = Folder::new();
    let port = free_port().to_string();
    let address = format!("esdb://127.0.0.1:{port}?tls=false");
    let events = folder.path().join("events");
    let arguments = ["event-store", "--port", &port, "--data-dir", events.to_str().unwrap()];
    let _events = spawn(&folder, "event-store", &arguments);
    let store = Store::up_with(&folder, &["--event-store", &address]).await;
    store.api.receive("MUG", 1).await;

    let data = folder.path().join("data");
    let list = ["streams", "list", "stock-", "--data-dir", data.to_str().unwrap()];
    let refused = run(&list);
    assert!(!refused.status.success());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("--event-store"), "{complaint}");
    let named = [&list[..], &["--event-store", &address]].concat();
    assert!(output_of(&run(&named)).contains("stock-MUG"));
}

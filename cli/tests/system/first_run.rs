//! What somebody sees who tries it for the first time.

use serde_json::json;

use crate::running::{Folder, Store, output_of, run};

#[tokio::test]
async fn every_scenario_ends_as_it_should() {
    let folder = Folder::new();
    let _store = Store::up(&folder).await;
    let data_dir = folder.path().join("data");
    for number in 1..=10 {
        let number = number.to_string();
        let told = run(&["scenario", &number, "--data-dir", data_dir.to_str().unwrap()]);
        let told = output_of(&told);
        assert!(told.contains("order-placed"), "{told}");
        assert!(told.lines().last().is_some_and(|it| it.starts_with('✓')), "{told}");
    }
}

#[tokio::test]
async fn a_scenario_can_be_watched_in_a_browser() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    let page = reqwest::get(format!("{}/scenario/1", store.api.base_url)).await.unwrap();
    assert!(page.status().is_success());
    let told = page.text().await.unwrap();
    assert!(told.contains("fulfilment-finished") && told.contains('✓'), "{told}");
    let unknown = reqwest::get(format!("{}/scenario/11", store.api.base_url)).await.unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
}

#[tokio::test]
async fn ctrl_c_stops_it_and_the_next_start_goes_on_where_it_was() {
    let folder = Folder::new();
    let mut store = Store::up_with(&folder, &["--simulator-carrier-transit", "1500ms"]).await;
    store.api.receive("MUG", 5).await;
    let order = store.api.try_place("MUG", "one", "tok_ok").await.unwrap();
    assert!(store.process.interrupt().success());

    let store = Store::up(&folder).await;
    assert_eq!(store.api.settled(&order).await, "COMPLETED");
    store.api.stock_is("MUG", 4, 0).await;
}

#[tokio::test]
async fn two_stores_live_side_by_side() {
    let (one, other) = (Folder::new(), Folder::new());
    let (first, second) = tokio::join!(Store::up(&one), Store::up(&other));
    first.api.receive("MUG", 1).await;
    let query = "{ stock(sku: \"MUG\") { onHand } }";
    assert_eq!(second.api.run(query, json!({})).await["stock"], json!(null));
}

#[tokio::test]
async fn a_second_store_on_the_same_folder_is_refused_in_words() {
    let folder = Folder::new();
    let _store = Store::up(&folder).await;
    let data_dir = folder.path().join("data");
    let arguments = [
        "up",
        "--data-dir",
        data_dir.to_str().unwrap(),
        "--http-port",
        "0",
        "--event-store-port",
        "0",
    ];
    let refused = run(&arguments);
    assert!(!refused.status.success());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("in use"), "{complaint}");
}

#[tokio::test]
async fn the_audit_shows_who_did_what_and_why() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    store.api.receive("MUG", 5).await;
    let order = store.api.try_place("MUG", "one", "tok_ok").await.unwrap();
    store.api.settled(&order).await;
    let data_dir = folder.path().join("data");
    let data_dir = data_dir.to_str().unwrap();

    let listed = output_of(&run(&["streams", "list", "order-", "--data-dir", data_dir]));
    assert!(listed.contains(&format!("order-{order}")), "{listed}");
    let shown = output_of(&run(&["streams", "show", &order, "--data-dir", data_dir]));
    for expected in ["client:development", "process:fulfilment", "stock-MUG", "payment-captured"] {
        assert!(shown.contains(expected), "{expected} is missing in {shown}");
    }
    let unknown = run(&["streams", "show", "order-nobody", "--data-dir", data_dir]);
    assert!(!unknown.status.success());
}

#[tokio::test]
async fn the_token_of_a_store_is_sent_to_that_store_only() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    let data_dir = folder.path().join("data");
    let scenario_at =
        |api: &str| run(&["scenario", "1", "--api", api, "--data-dir", data_dir.to_str().unwrap()]);
    output_of(&scenario_at(&format!("{}/", store.api.base_url)));
    let refused = scenario_at("http://127.0.0.1:1");
    assert!(!refused.status.success());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("--token"), "{complaint}");
}

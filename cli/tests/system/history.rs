//! Importing a shop's history.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::running::{Folder, Store, orderstore, output_of};

/// A sample of our own making: two invoices with a product on two lines, postage and a gift; a credit
/// note that undoes no order, one that undoes a part of one and a little more; and every kind of row
/// that is no order.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/invoices.csv")
}

/// Real orders, where they lie beside the checkout.
fn real() -> Option<PathBuf> {
    let beside = "../../shared/data/online-retail/online-retail.csv.gz";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(beside);
    path.exists().then_some(path)
}

async fn import(folder: &Folder, file: &Path) -> Value {
    import_for(folder, file, "online-retail").await
}

async fn import_for(folder: &Folder, file: &Path, channel: &str) -> Value {
    let data_dir = folder.path().join("data");
    let mut command = orderstore();
    command.arg("import").arg(file).args(["--json", "--channel", channel]);
    command.arg("--data-dir").arg(data_dir);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let written = output_of(&output);
    serde_json::from_str(written.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_imported_twice_is_imported_once() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    let totals = import(&folder, &sample()).await;
    assert_eq!(
        totals,
        json!({
            "orders": 2,
            "lines": 6,
            "units": 20,
            "gross": "74.36",
            "returns": 1,
            "refunded": { "rows": 3, "gross": "-45.18" },
            "creditNotes": 2,
            "credited": { "rows": 2, "gross": "-15.20" },
            "rejected": { "rows": 6, "gross": "13541.33" },
        })
    );
    // What came back is put onto the shelf by a process.
    store.api.stock_is("85123A", 8, 0).await;
    store.api.stock_is("71053", 2, 0).await;
    let query = "{ orders(first: 10, where: { channel: \"online-retail\" }) { nodes { \
        externalReference status paymentStatus returnStatus version placedAt \
        originalTotal { amount } captured { amount } refunded { amount } \
        returns { status } refunds { status } lines { sku returned refunded } } } \
        creditNotes(first: 10) { nodes { number total { amount } } } \
        stock(sku: \"85123A\") { onHand reserved } }";
    let before = store.api.run(query, json!({})).await;
    let orders = before["orders"]["nodes"].as_array().unwrap();
    assert_eq!(orders.len(), 2);
    let undone = orders.iter().find(|it| it["externalReference"] == "900001").unwrap();
    assert_eq!(undone["paymentStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(undone["returnStatus"], "PARTIALLY_RETURNED");
    assert_eq!(undone["refunded"]["amount"], "45.18");
    assert_eq!(undone["returns"], json!([{ "status": "CLOSED" }]));
    assert_eq!(
        undone["lines"],
        json!([
            { "sku": "85123A", "returned": 6, "refunded": 6 },
            { "sku": "71053", "returned": 2, "refunded": 2 },
            { "sku": "85123A", "returned": 2, "refunded": 2 },
            { "sku": "POST", "returned": 0, "refunded": 1 },
        ])
    );

    let packed = folder.path().join("invoices.csv.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&packed).unwrap(), Compression::fast());
    gzip.write_all(&fs::read(sample()).unwrap()).unwrap();
    gzip.finish().unwrap();
    assert_eq!(import(&folder, &packed).await, totals);
    assert_eq!(store.api.run(query, json!({})).await, before);
    assert!(store.payments().await.is_empty(), "history is not charged again");
}

#[tokio::test(flavor = "multi_thread")]
async fn shops_that_use_the_same_invoice_numbers_do_not_share_anything() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    let first = import_for(&folder, &sample(), "first").await;
    assert_eq!(import_for(&folder, &sample(), "second").await, first);
    store.api.stock_is("85123A", 16, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_orders_are_imported_to_the_penny() {
    let Some(file) = real() else {
        eprintln!("not run: there are no real orders beside this checkout");
        return;
    };
    let folder = Folder::new();
    let _store = Store::up(&folder).await;
    let totals = import(&folder, &file).await;
    let pence = |text: &Value| -> i64 { text.as_str().unwrap().replace('.', "").parse().unwrap() };
    let parts = ["refunded", "credited", "rejected"].map(|part| &totals[part]);
    let sum = pence(&totals["gross"]) + parts.map(|it| pence(&it["gross"])).iter().sum::<i64>();
    assert_eq!(sum, 119_639_072, "the sum over the file");
    let rows = |path: &Value| path.as_u64().unwrap();
    let count = rows(&totals["lines"]) + parts.map(|it| rows(&it["rows"])).iter().sum::<u64>();
    assert_eq!(count, 70_051, "every row is somewhere");
    assert_eq!(totals["refunded"], json!({ "rows": 577, "gross": "-91436.47" }));
    assert_eq!(totals["credited"], json!({ "rows": 587, "gross": "-19448.84" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_single_order_is_an_error() {
    let folder = Folder::new();
    let _store = Store::up(&folder).await;
    let file = folder.path().join("broken.csv");
    let header = fs::read_to_string(sample()).unwrap().lines().next().unwrap().to_owned();
    fs::write(&file, format!("{header}\n1,MUG,Mug,many,2010-12-01T08:26:00,1,,France\n")).unwrap();
    let data_dir = folder.path().join("data");
    let mut command = orderstore();
    command.arg("import").arg(&file).arg("--data-dir").arg(data_dir);
    let refused = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(!refused.status.success());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("Quantity: `many` is no whole number"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_was_credited_before_its_order_was_known_is_not_given_back_again() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    let whole = fs::read_to_string(sample()).unwrap();
    let lines: Vec<_> = whole.lines().filter(|it| !it.starts_with("900001")).collect();
    let part = folder.path().join("part.csv");
    fs::write(&part, lines.join("\n")).unwrap();
    let totals = import(&folder, &part).await;
    assert_eq!(totals["credited"], json!({ "rows": 5, "gross": "-60.38" }));

    let totals = import(&folder, &sample()).await;
    assert_eq!(totals["returns"], 0);
    assert_eq!(totals["credited"], json!({ "rows": 2, "gross": "-12.65" }));
    assert_eq!(totals["rejected"], json!({ "rows": 9, "gross": "13493.60" }));
    store.api.stock_is("85123A", 0, 0).await;
}

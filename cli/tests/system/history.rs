//! Importing a shop's history.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::running::{Folder, Store, orderstore, output_of};

/// A sample of our own making: two invoices with a product on two lines, postage and a gift, a credit
/// note, and every kind of row that is no order.
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
            "cancelled": { "rows": 2, "gross": "-12.65" },
            "rejected": { "rows": 6, "gross": "13541.33" },
        })
    );
    let query = "{ orders(first: 10, where: { channel: \"online-retail\" }) { nodes { \
        status placedAt total { amount } } } \
        stock(sku: \"85123A\") { onHand reserved } }";
    let before = store.api.run(query, json!({})).await;
    assert_eq!(before["orders"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(before["stock"], json!({ "onHand": "0", "reserved": "0" }));

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
    let query = "{ stock(sku: \"85123A\") { onHand reserved } }";
    let stock = store.api.run(query, json!({})).await;
    assert_eq!(stock["stock"], json!({ "onHand": "0", "reserved": "0" }));
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
    let sum = pence(&totals["gross"])
        + pence(&totals["cancelled"]["gross"])
        + pence(&totals["rejected"]["gross"]);
    assert_eq!(sum, 119_639_072, "the sum over the file");
    let rows = |path: &Value| path.as_u64().unwrap();
    let count = rows(&totals["lines"])
        + rows(&totals["cancelled"]["rows"])
        + rows(&totals["rejected"]["rows"]);
    assert_eq!(count, 70_051, "every row is somewhere");
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

//! Orders, stock and customers on the command line, as whoever runs the shop uses it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::running::{Folder, PATIENCE, Store, output_of, run};

/// A store, and a command line beside it.
struct Shop {
    store: Store,
    folder: Folder,
}

impl Shop {
    async fn open() -> Self {
        let folder = Folder::new();
        let store = Store::up(&folder).await;
        Self { store, folder }
    }

    fn at(&self) -> [String; 2] {
        let data_dir = self.folder.path().join("data");
        ["--data-dir".to_owned(), data_dir.to_str().unwrap().to_owned()]
    }

    fn run(&self, command: &str) -> std::process::Output {
        let at = self.at();
        let at = at.iter().map(String::as_str);
        run(&command.split(' ').chain(at).collect::<Vec<_>>())
    }

    /// What the command prints.
    #[track_caller]
    fn told(&self, command: &str) -> String {
        output_of(&self.run(command))
    }

    /// What the command complains about.
    #[track_caller]
    fn refused(&self, command: &str) -> String {
        let output = self.run(command);
        assert!(!output.status.success(), "{command} was not refused");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What the command prints, once all of this stands in it: read models are a moment behind.
    async fn until_told(&self, command: &str, expected: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let output = self.run(command);
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let in_words = squeezed(&told);
            if output.status.success() && expected.iter().all(|it| in_words.contains(it)) {
                return told;
            }
            assert!(start.elapsed() < PATIENCE, "{command} does not tell {expected:?}: {output:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Places an order for three mugs, which leave when somebody says so.
    async fn place(&self) -> String {
        let pounds = |amount: &str| json!({ "amount": amount, "currencyCode": "GBP" });
        let mug = json!({ "sku": "MUG", "quantity": 3, "unitPrice": pounds("1.50") });
        let more = json!({
            "customer": "c-4711",
            "tags": ["urgent"],
            "lines": [mug],
            "total": pounds("4.50"),
            "policies": { "dispatch": "MANUAL" },
        });
        self.store.api.try_place_with("MUG", "one", "tok_ok", more).await.unwrap()
    }
}

/// The same with one space between words, however wide the columns are.
fn squeezed(told: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    told.lines().map(words).collect::<Vec<_>>().join("\n")
}

/// The words of the line that begins with `name`.
#[track_caller]
fn line_of<'a>(told: &'a str, name: &str) -> Vec<&'a str> {
    let words = |line: &'a str| line.split_whitespace().collect::<Vec<_>>();
    let found = told.lines().map(words).find(|words| words.first() == Some(&name));
    found.unwrap_or_else(|| panic!("no line of {name} in {told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_goes_from_receipt_to_refund_on_the_command_line() {
    let shop = Shop::open().await;
    let received = shop.told("stock receive MUG 10");
    assert_eq!(line_of(&received, "MUG")[..4], ["MUG", "10", "0", "10"]);
    let order = shop.place().await;
    let shown = shop.until_told("orders show 1001", &["confirmed"]).await;
    assert_eq!(line_of(&shown, "id"), ["id", order.as_str()]);
    assert_eq!(line_of(&shown, "payment"), ["payment", "authorised"]);
    assert!(shown.contains("3 main"), "{shown}");

    let held = shop.told("orders hold 1001 look-at-it --reason fraud");
    assert!(held.contains("goods on-hold"), "{held}");
    let complaint = shop.refused("orders ship 1001 --location main --clear");
    assert_eq!(complaint, "orderstore: the order is held: release the holds first\n");
    shop.until_told("orders show 1001", &["look-at-it (fraud)", "release-hold"]).await;
    shop.until_told("orders list --on-hold --tag urgent", &["1001"]).await;
    shop.told("orders release 1001 look-at-it");

    let planned = shop.told("orders ship 1001 --location main --line 0:2 --idempotency-key van");
    assert!(planned.contains("--clear --idempotency-key van"), "{planned}");
    let sent =
        shop.told("orders ship 1001 --location main --line 0:2 --idempotency-key van --clear");
    assert_eq!(line_of(&planned, "shipmentId:"), line_of(&sent, "shipmentId:"));
    let expected = ["partially-shipped", "delivered", "captured 3.00 GBP"];
    shop.until_told("orders show 1001", &expected).await;

    let refunded = shop.told("orders refund 1001 --line 0:1 --reason damaged");
    let refund = line_of(&refunded, "refundId:")[1];
    // Counted as soon as it is asked for, done when the gateway has said so.
    let done = format!("{refund} 1.50 GBP done damaged 0:1");
    shop.until_told("orders show 1001", &["refunded 1.50 GBP", &done]).await;
    shop.until_told("orders list --status confirmed --sku MUG", &["1001"]).await;
    let cancelled = shop.told("orders cancel 1001 --reason customer --line 0:1");
    assert!(cancelled.contains("goods delivered"), "{cancelled}");

    let history = squeezed(&shop.told("orders history 1001"));
    for expected in [
        "client:development order-held (fraud)",
        "holds.look-at-it.reason: fraud → –",
        "process:fulfilment order-shipment-dispatched",
        "lines.0.shipped: 0 → 2",
        "client:development order-refund-requested (damaged)",
    ] {
        assert!(history.contains(expected), "{expected} is missing in {history}");
    }
    let placed = shop.told(&format!("orders show {order} --as-of 0"));
    assert_eq!(line_of(&placed, "status"), ["status", "pending"]);
    shop.until_told("stock show MUG", &["shipped main -2 -2 process:fulfilment"]).await;
    shop.until_told("customers show c-4711", &["1.50 GBP", "partially-refunded"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_came_by_itself_pays_for_an_order() {
    let shop = Shop::open().await;
    shop.told("stock receive MUG 1");
    let manual = json!({ "paymentToken": null, "payment": { "manual": true } });
    let order = shop.store.api.try_place_with("MUG", "one", "", manual).await.unwrap();
    let too_much = format!("orders mark-paid {order} --amount 9 --reference BANK-1");
    let complaint = shop.refused(&too_much);
    assert!(complaint.contains("9.00 GBP is more than the 1.00 GBP"), "{complaint}");
    let paid = shop.told(&format!("orders mark-paid {order} --amount 1 --reference BANK-1"));
    assert!(paid.contains("payment paid"), "{paid}");
    assert_eq!(shop.store.api.settled(&order).await, "COMPLETED");
    shop.until_told(&format!("orders show {order}"), &["received as BANK-1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_counted_and_corrected_and_nothing_is_done_twice() {
    let shop = Shop::open().await;
    shop.told("stock receive MUG 5 --location shop --idempotency-key van");
    let again = shop.told("stock receive MUG 5 --location shop --idempotency-key van");
    assert!(again.starts_with("Nothing was left to do."), "{again}");
    let less = shop.told("stock adjust MUG -2 --location shop --reason damaged");
    assert_eq!(line_of(&less, "MUG")[1], "3");
    let complaint = shop.refused("stock set MUG 7 --from 5 --location shop");
    assert!(complaint.contains("3 units are on hand at shop, not 5"), "{complaint}");
    let counted = shop.told("stock set MUG 7 --from 3 --location shop --json");
    let counted: Value = serde_json::from_str(&counted).unwrap();
    assert_eq!(counted["stock"]["onHand"], "7");
    shop.told("stock policy MUG backorder --low-at 7");
    let low = shop.until_told("stock list --low", &["MUG"]).await;
    assert_eq!(line_of(&low, "MUG")[5..], ["low", "backorder", "7"]);
    let shown = shop.until_told("stock show MUG", &["adjusted (damaged)", "counted"]).await;
    assert_eq!(line_of(&shown, "shop"), ["shop", "7", "0", "7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_to_be_not_there() {
    let shop = Shop::open().await;
    let nobody = "00000000-0000-0000-0000-000000000000";
    for command in ["show 7", "history 7", "hold 7 x --reason other", "cancel 7 --reason staff"] {
        let complaint = shop.refused(&format!("orders {command}"));
        assert!(complaint.starts_with("orderstore: there is no order 7;"), "{complaint}");
    }
    for command in ["show", "history", "cancel --reason staff"] {
        let complaint = shop.refused(&format!("orders {command} {nobody}"));
        assert!(complaint.contains("there is no"), "{complaint}");
    }
    assert!(shop.refused("stock show MUG").contains("never received"));
    assert!(shop.refused("customers show c-1").contains("no order"));
    assert_eq!(shop.told("orders list --json"), "");
}

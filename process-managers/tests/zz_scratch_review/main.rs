#![allow(warnings, clippy::all, clippy::pedantic)]
#[path = "../fulfilment/shop.rs"]
mod shop;
use std::time::Duration;
use domain::fulfilment::*;
use domain::order::*;
use futures::StreamExt;
use process_managers::{Options, ProcessManager};
use shop::Shop;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_store_writes_checkpoints_for_ever() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 9).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    shop.finished(order).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    shop.finished(order).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let name: schemas::StreamName = "process_manager-fulfilment".parse().unwrap();
    let before = shop.journal.read(&name, 0).collect::<Vec<_>>().await.len();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let events = shop.journal.read(&name, 0).collect::<Vec<_>>().await;
    println!("REPRO4 checkpoints: {before} then, idle for 20 s, {}", events.len());
    for e in events.iter().rev().take(3) { println!("REPRO4 {}", String::from_utf8_lossy(&e.as_ref().unwrap().data)); }
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_second_manager_times_out_paid_orders() {
    let shop = Shop::open().await;
    shop.receive("MUG", 500).await;
    let dead = Some("http://127.0.0.1:9".to_owned());
    let deadline = Duration::from_secs(4);
    let a = ProcessManager::start(shop.journal.clone(), &Options { carrier: dead.clone(), payment_deadline: deadline, ..shop.options() }).unwrap();
    let b = ProcessManager::start(shop.journal.clone(), &Options { payment_gateway: dead.clone(), carrier: dead, payment_deadline: deadline, ..shop.options() }).unwrap();
    let mut orders = vec![];
    for _ in 0..40 { orders.push(shop.place(&[("MUG", 1)], "tok_ok").await); }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut confirmed = 0;
    for o in &orders { if shop.status(*o).await == OrderStatus::Confirmed { confirmed += 1; } }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut unwinding = 0;
    for o in &orders {
        if let FulfilmentState::Running(p) = shop.process(*o).await {
            if p.ending == Some(Ending::Cancelled(CancelReason::PaymentTimedOut)) && p.done.contains(&Step::AuthorisePayment) && p.done.contains(&Step::ConfirmOrder) { unwinding += 1; }
        }
    }
    println!("REPRO7 of 40: confirmed (paid) after 3 s: {confirmed}; after the deadline turned round as PaymentTimedOut although paid and confirmed: {unwinding}");
    a.stop().await; b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redriving_calls_partners_again() {
    // a graceful restart: how many partner calls does a finished order cost again?
    let shop = Shop::open().await;
    shop.receive("MUG", 100).await;
    shop.receive("CUP", 5).await;
    let options = Options { step_attempts: 1, ..shop.options() };
    let manager = ProcessManager::start(shop.journal.clone(), &options).unwrap();
    let held = shop.place(&[("CUP", 1)], "tok_flaky").await;
    shop.reaches(held, |p| matches!(p, Phase::Parked(_))).await;
    for _ in 0..20 { let o = shop.place(&[("MUG", 1)], "tok_ok").await; shop.finished(o).await; }
    manager.stop().await;
    // a counting gateway that is not there: re-driven orders would have to call it
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new()));
    let c2 = count.clone();
    tokio::spawn(async move { loop { let (mut s, _) = listener.accept().await.unwrap(); let c2 = c2.clone(); tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut b = [0u8; 4096]; let n = s.read(&mut b).await.unwrap_or(0);
        let line = String::from_utf8_lossy(&b[..n]).lines().next().unwrap_or("").chars().take(14).collect::<String>();
        *c2.lock().unwrap().entry(line).or_default() += 1;
        let body = r#"{"status":"captured","reference":"auth_x"}"#;
        let _ = s.write_all(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await; }); } });
    let manager = ProcessManager::start(shop.journal.clone(), &Options { payment_gateway: Some(url), ..options }).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    println!("REPRO8 gateway calls after a graceful restart with 20 finished orders: {:?}", count.lock().unwrap());
    manager.stop().await;
}

//! Very many clients at once, most of them doing nothing.

use std::time::Duration;

use eventstore::EventData;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::bare::{READ, ask, greeted};
use super::{MIB, Served};
use crate::harness::{event, soon};
use crate::messages::read::{
    AllOptions, Amount, Direction, Filtering, FromPosition, Options, ReadReq, Source,
    SubscriptionOptions, UuidForm, UuidOption,
};

/// What a connection may cost at most. Measured is about half of it, without optimisation.
const BYTES_PER_CONNECTION: usize = 64 * 1024;

/// A subscription to everything from the start.
pub(super) fn follow_all() -> ReadReq {
    let source = AllOptions { from: Some(FromPosition::Start(())) };
    ReadReq {
        options: Some(Options {
            source: Some(Source::All(source)),
            read_direction: Direction::Forwards.into(),
            amount: Some(Amount::Subscription(SubscriptionOptions {})),
            filtering: Some(Filtering::NoFilter(())),
            uuid_option: Some(UuidOption { form: Some(UuidForm::String(())) }),
            ..Options::default()
        }),
    }
}

/// How many connections this process can hold: 10,000 unless the machine forbids it.
fn as_many_as_possible() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let limit = limit.maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    let count = limit.saturating_sub(1_000).min(10_000);
    if count < 10_000 {
        println!("only {count} connections: this machine allows {limit} open files");
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_cost_little_and_hold_nobody_up() {
    let server = Served::start().await;
    server.still_serves().await;
    let (before, count) = (server.memory(), as_many_as_possible());
    let mut idle: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        let mut socket = greeted(server.address).await;
        if number % 2 == 0 {
            ask(&mut socket, 1, READ, &follow_all()).await;
        }
        idle.push(socket);
    }
    server.still_serves().await;
    let each = server.memory().saturating_sub(before) / count;
    println!("{count} connections, {each} bytes each");
    assert!(each < BYTES_PER_CONNECTION, "{each} bytes");
    let handles = server.handles();
    assert!(handles >= count, "{handles}");
    drop(idle);
    server.has_closed_all_but(handles - count).await;
}

/// As many bytes as the socket has for us, or nothing for a moment.
async fn drain(socket: &mut TcpStream) -> usize {
    let mut bytes = vec![0; 64 * 1024];
    let read = tokio::time::timeout(Duration::from_millis(1), socket.read(&mut bytes));
    read.await.map_or(0, Result::unwrap)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_subscribers_that_never_read_neither_stall_a_writer_nor_fill_the_memory() {
    let server = Served::start().await;
    server.still_serves().await;
    let before = server.memory();
    let mut stuck = Vec::new();
    for _ in 0..1_000 {
        let mut socket = greeted(server.address).await;
        ask(&mut socket, 1, READ, &follow_all()).await;
        stuck.push(socket);
    }
    for _ in 0..40 {
        let large = (0..25).map(|_| EventData::binary("Large", vec![7; 40_000].into()));
        server.add("s", large.collect()).await;
    }
    server.still_serves().await;
    let grown = server.memory().saturating_sub(before);
    println!("{} MiB for 1,000 subscribers", grown / MIB);
    assert!(grown < 700 * MIB, "{grown} bytes");
    // They were served as far as they allowed, and still would be.
    assert!(soon(drain(&mut stuck[0])).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_subscribers_that_come_and_go_stops_nothing() {
    let server = Served::start().await;
    server.still_serves().await;
    let handles = server.handles();
    let storm: Vec<_> = (0..8)
        .map(|_| {
            let address = server.address;
            tokio::spawn(async move {
                for round in 0..100 {
                    let mut socket = greeted(address).await;
                    ask(&mut socket, 1, READ, &follow_all()).await;
                    if round % 2 == 0 {
                        super::bare::reset(socket);
                    }
                }
            })
        })
        .collect();
    for number in 0..50 {
        server.add("s", vec![event(number)]).await;
    }
    for guest in storm {
        soon(guest).await.unwrap();
    }
    server.has_closed_all_but(handles).await;
}

//! What is not HTTP/2, or HTTP/2 that breaks its rules or wears the server out. Whatever it is, its
//! connection may suffer and nothing else does.

use tokio::io::AsyncWriteExt;

use super::Served;
use super::bare::{
    APPEND, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, call, connect, frame, greeted, headers, until_closed,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_closes_its_connection() {
    let server = Served::start().await;
    let garbage: [&[u8]; 6] = [
        &[0; 1_000],
        &[0xff; 10_000],
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 0, 0, 0, 0, 0, 0, 0],
        b"GET / HTTP/9.9\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\r\n\r\n\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in garbage {
        let mut socket = connect(server.address).await;
        // The server may hang up before it has read everything.
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        until_closed(&mut socket).await;
    }
    server.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_close_their_connection() {
    let server = Served::start().await;
    let settings = frame(SETTINGS, 0, 0, &[]);
    let too_long = [&[0xff, 0xff, 0xff, DATA, 0], &1_u32.to_be_bytes()[..], &[0; 100]].concat();
    let bad: [(&str, Vec<u8>); 8] = [
        ("data outside of any stream", [settings.clone(), frame(DATA, 0, 0, b"x")].concat()),
        ("data of an idle stream", [settings.clone(), frame(DATA, 0, 7, b"x")].concat()),
        ("a stream that is the server's", {
            [settings.clone(), frame(HEADERS, END_HEADERS, 2, &call(APPEND))].concat()
        }),
        ("settings of an odd length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a ping of a wrong length", [settings.clone(), frame(PING, 0, 0, &[0; 7])].concat()),
        ("a window that overflows", {
            let most = (u32::MAX >> 1).to_be_bytes();
            [settings.clone(), frame(WINDOW_UPDATE, 0, 0, &most)].concat()
        }),
        ("headers that cannot be decoded", {
            [settings.clone(), frame(HEADERS, END_HEADERS, 1, &[0xff; 20])].concat()
        }),
        ("a frame larger than agreed", [settings, too_long].concat()),
    ];
    for (what, frames) in bad {
        println!("{what}");
        let mut socket = connect(server.address).await;
        let _ = socket.write_all(&[PREFACE, &frames].concat()).await;
        until_closed(&mut socket).await;
    }
    server.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_any_reason_are_not_kept() {
    let server = Served::start().await;
    let before = server.memory();
    let long = "x".repeat(10_000);
    let fields: Vec<_> = (0..20).map(|_| ("filler", long.as_str())).collect();
    let mut socket = greeted(server.address).await;
    // One block of headers over and over, which never ends.
    let block = headers(&fields[..1]);
    let mut sent = socket.write_all(&frame(HEADERS, 0, 1, &block)).await;
    for _ in 0..10_000 {
        if sent.is_err() {
            break;
        }
        sent = socket.write_all(&frame(CONTINUATION, 0, 1, &block)).await;
    }
    until_closed(&mut socket).await;
    server.still_serves().await;
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 * super::MIB, "{grown} bytes");
}

/// Sends the same frames until the server hangs up or has taken them `count` times.
async fn flood(server: &Served, count: usize, frames: impl Fn(u32) -> Vec<u8>) {
    let before = server.memory();
    let mut socket = greeted(server.address).await;
    for round in 0..u32::try_from(count / 100).unwrap() {
        let batch: Vec<u8> = (0..100).flat_map(|n| frames(2 * (round * 100 + n) + 1)).collect();
        if socket.write_all(&batch).await.is_err() {
            break;
        }
    }
    let _ = socket.shutdown().await;
    until_closed(&mut socket).await;
    server.still_serves().await;
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 64 * super::MIB, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_cancelled_as_fast_as_they_are_made_exhaust_nothing() {
    let server = Served::start().await;
    let cancel = 8_u32.to_be_bytes();
    flood(&server, 50_000, |stream| {
        let call = frame(HEADERS, END_HEADERS, stream, &call(APPEND));
        [call, frame(RST_STREAM, 0, stream, &cancel)].concat()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_never_end_are_limited_on_each_connection() {
    let server = Served::start().await;
    server.still_serves().await;
    let before = server.memory();
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = greeted(server.address).await;
        for first in (1..40_000).step_by(200) {
            let calls = (first..first + 200).step_by(2);
            let calls: Vec<u8> =
                calls.flat_map(|id| frame(HEADERS, END_HEADERS, id, &call(APPEND))).collect();
            if socket.write_all(&calls).await.is_err() {
                break;
            }
        }
        sockets.push(socket);
    }
    server.still_serves().await;
    let grown = server.memory().saturating_sub(before);
    println!("{} MiB", grown / super::MIB);
    assert!(grown < 256 * super::MIB, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_settings_without_end_exhaust_nothing() {
    let server = Served::start().await;
    flood(&server, 50_000, |_| frame(PING, 0, 0, &[7; 8])).await;
    flood(&server, 50_000, |_| frame(SETTINGS, 0, 0, &[])).await;
    flood(&server, 50_000, |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_frames_without_end_exhaust_nothing() {
    let server = Served::start().await;
    let begin = frame(HEADERS, END_HEADERS, 1, &call(APPEND));
    flood(&server, 50_000, |stream| {
        let empty = frame(DATA, 0, 1, &[]);
        if stream == 1 { [begin.clone(), empty].concat() } else { empty }
    })
    .await;
}

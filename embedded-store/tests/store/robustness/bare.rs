//! HTTP/2 by hand, for clients that do what no library would: frames byte by byte on a socket that
//! costs next to nothing, so that there can be thousands.

use std::net::SocketAddr;

use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::soon;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers as literals, without any compression.
pub(super) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend(text.bytes());
        }
    }
    block
}

/// A length in seven bits, or more bytes if that is not enough.
fn length(mut length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    block.push(u8::try_from(length).unwrap());
}

pub(super) fn call(path: &str) -> Vec<u8> {
    headers(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ])
}

pub(super) const APPEND: &str = "/event_store.client.streams.Streams/Append";
pub(super) const READ: &str = "/event_store.client.streams.Streams/Read";
pub(super) const BATCH: &str = "/event_store.client.streams.Streams/BatchAppend";
pub(super) const CONSUME: &str =
    "/event_store.client.persistent_subscriptions.PersistentSubscriptions/Read";

/// A message as gRPC frames it.
pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    let socket = soon(TcpStream::connect(address)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A connection that has said hello and waits.
pub(super) async fn greeted(address: SocketAddr) -> TcpStream {
    let mut socket = connect(address).await;
    socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    // The server's own settings come first.
    let mut header = [0; 9];
    soon(socket.read_exact(&mut header)).await.unwrap();
    assert_eq!(header[3], SETTINGS);
    socket
}

/// Sends a call that consists of one message, and reads nothing.
pub(super) async fn ask(socket: &mut TcpStream, stream: u32, path: &str, message: &impl Message) {
    let frames = [
        frame(HEADERS, END_HEADERS, stream, &call(path)),
        frame(DATA, END_STREAM, stream, &framed(message)),
    ];
    socket.write_all(&frames.concat()).await.unwrap();
}

/// Reads until the server closes the connection, whichever way.
pub(super) async fn until_closed(socket: &mut TcpStream) {
    let mut bytes = vec![0; 64 * 1024];
    soon(async { while !matches!(socket.read(&mut bytes).await, Ok(0) | Err(_)) {} }).await;
}

/// Ends a connection the way a crash does: with a reset instead of a goodbye.
pub(super) fn reset(socket: TcpStream) {
    socket.set_zero_linger().unwrap();
    drop(socket);
}

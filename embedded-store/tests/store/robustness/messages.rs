//! Good HTTP/2 that carries bad gRPC: each call gets a status that says so.

use bytes::Bytes;
use eventstore::{Error, EventData, ExpectedRevision, ReadStreamOptions};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::TcpStream;

use super::bare::{APPEND, BATCH, READ, framed};
use super::{MIB, Served};
use crate::harness::{append, soon};
use crate::messages::read::ReadReq;
use crate::messages::shared::StreamIdentifier;
use crate::messages::write::{AppendContent, AppendReq, ExpectedRevision as Expected, Target};

const INTERNAL: &str = "13";
const UNIMPLEMENTED: &str = "12";
const INVALID: &str = "3";

async fn handshake(server: &Served) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    soon(sender.ready()).await.unwrap()
}

/// The status that a call with these bytes as its body ends with.
async fn status(server: &Served, path: &str, encoding: Option<&str>, body: Vec<u8>) -> String {
    let mut sender = handshake(server).await;
    let mut request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let (response, mut sending) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    // The server may have answered already, and taken the stream back.
    let _ = sending.send_data(body.into(), true);
    let response = soon(response).await.unwrap();
    let in_headers = grpc_status(response.headers());
    if let Some(status) = in_headers {
        return status;
    }
    let mut body = response.into_body();
    while let Some(data) = soon(body.data()).await {
        body.flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    grpc_status(&soon(body.trailers()).await.unwrap().unwrap()).unwrap()
}

fn grpc_status(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().unwrap().to_owned())
}

fn options(stream: &str) -> AppendReq {
    let stream_name = Bytes::copy_from_slice(stream.as_bytes());
    AppendReq {
        content: Some(AppendContent::Options(Target {
            stream_identifier: Some(StreamIdentifier { stream_name }),
            expected: Some(Expected::Any(())),
        })),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_message_is_refused() {
    let server = Served::start().await;
    for path in [APPEND, READ, BATCH] {
        let status = status(&server, path, None, [&[0, 0, 0, 0, 5][..], &[0xff; 5]].concat());
        assert_ne!(status.await, "0", "{path}");
    }
    server.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_not_true_is_refused() {
    let server = Served::start().await;
    let longer_than_its_call = [&[0, 0, 0, 1, 0][..], &[0; 10]].concat();
    let longer_than_anything = [&[0, 0xff, 0xff, 0xff, 0xff][..], &[0; 10]].concat();
    for path in [APPEND, READ] {
        for body in [&longer_than_its_call, &longer_than_anything] {
            assert_ne!(status(&server, path, None, body.clone()).await, "0", "{path}");
        }
    }
    server.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_breaks_off_within_a_message_writes_nothing() {
    let server = Served::start().await;
    let body = [framed(&options("s")), vec![0, 0, 0, 1, 0, 1, 2, 3]].concat();
    assert_ne!(status(&server, APPEND, None, body).await, "0");
    let read = crate::harness::read(&server.client, "s", &ReadStreamOptions::default()).await;
    assert!(matches!(read, Err(Error::ResourceNotFound)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_message_is_refused_as_such() {
    let server = Served::start().await;
    let compressed = vec![1, 0, 0, 0, 2, 1, 2];
    assert_eq!(status(&server, READ, None, compressed.clone()).await, INTERNAL);
    assert_eq!(status(&server, READ, Some("gzip"), compressed).await, UNIMPLEMENTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_any_message_is_refused() {
    let server = Served::start().await;
    for path in [APPEND, READ] {
        assert_ne!(status(&server, path, None, Vec::new()).await, "0", "{path}");
    }
    assert_eq!(status(&server, READ, None, framed(&ReadReq::default())).await, INVALID);
    assert_eq!(status(&server, APPEND, None, framed(&AppendReq::default())).await, INVALID);
    assert_eq!(status(&server, BATCH, None, Vec::new()).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_server_of_ours_serves_is_unimplemented() {
    let server = Served::start().await;
    for path in ["/", "/a", "/event_store.client.streams.Streams/", "/a.b/c/d"] {
        assert_eq!(status(&server, path, None, Vec::new()).await, UNIMPLEMENTED, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_any_size_is_written_or_refused_as_too_large_and_costs_no_memory_for_long() {
    let server = Served::start().await;
    server.still_serves().await;
    let before = server.memory();
    for (size, fits) in
        [(MIB - 1_000, true), (2 * MIB, false), (16 * MIB, false), (40 * MIB, false)]
    {
        let large = vec![EventData::binary("Large", vec![7; size].into())];
        let written = append(&server.client, "s", ExpectedRevision::Any, large).await;
        match written {
            Ok(_) => assert!(fits, "{size}"),
            Err(Error::Grpc { code, .. }) => {
                assert!(!fits && i32::from(code as u8) == 3, "{size}: {code:?}");
            }
            Err(other) => panic!("{size}: {other:?}"),
        }
    }
    server.still_serves().await;
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 100 * MIB, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_is_refused_before_it_has_come() {
    let server = Served::start().await;
    let large = framed(&AppendReq { content: Some(AppendContent::ProposedMessage(too_large())) });
    let body = [framed(&options("s")), large[..1_000].to_vec()].concat();
    for _ in 0..20 {
        let mut sender = handshake(&server).await;
        let request = Request::post(format!("http://localhost{APPEND}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let sent = sender.send_request(request.body(()).unwrap(), false).unwrap();
        let (response, mut sending) = sent;
        sending.send_data(body.clone().into(), false).unwrap();
        let refusal = soon(response).await.unwrap();
        assert_eq!(grpc_status(refusal.headers()).as_deref(), Some(INVALID));
        assert_eq!(refusal.headers()["exception"], "maximum-append-size-exceeded");
    }
}

fn too_large() -> crate::messages::write::ProposedMessage {
    crate::messages::write::ProposedMessage { data: vec![7; 16 * MIB].into(), ..Default::default() }
}

#[test]
fn the_bytes_sent_are_those_of_the_protocol() {
    assert_eq!(options("s").encode_to_vec(), [10, 7, 10, 3, 26, 1, b's', 34, 0]);
}

//! GraphQL over WebSocket: the protocol graphql-transport-ws, and what the library leaves out of
//! it: who is asking, a time limit on that, a limit on subscriptions, and signs of life.

use std::collections::HashSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use async_graphql::Data;
use async_graphql::http::{
    ClientMessage, WebSocket as GraphqlSocket, WebSocketProtocols, WsMessage,
};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::answer::refuse;
use super::graphql::{origin, text};
use crate::auth::{Identity, Refused};
use crate::graphql::error::Code;
use crate::graphql::gate::{Gate, Origin};
use crate::router::App;

const PROTOCOL: &str = "graphql-transport-ws";
/// A client says who it is within this time.
const INIT_LIMIT: Duration = Duration::from_secs(5);
/// How often a client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Pings without an answer until it is not.
const MISSED_PINGS: u32 = 2;
/// Timers have an end as well; a socket does not live for a year.
const LONGEST_TIMER: Duration = Duration::from_hours(365 * 24);
/// Operations under way on one socket.
const MAX_OPERATIONS: usize = 50;
/// Sending to a client that does not read is given up after this time.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// Opens a WebSocket; sends a browser that only looks to the explorer.
pub(crate) async fn upgrade(
    State(app): State<App>,
    request: Request<axum::body::Body>,
) -> Response {
    let (mut parts, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        Ok(upgrade) => accept(app, &parts, upgrade),
        Err(rejection) => not_a_socket(&parts, &rejection),
    }
}

fn not_a_socket(parts: &Parts, rejection: &WebSocketUpgradeRejection) -> Response {
    if text(&parts.headers, header::UPGRADE.as_str()).is_some() {
        return refuse(Code::BadRequest, rejection.to_string());
    }
    if text(&parts.headers, header::ACCEPT.as_str()).is_some_and(|kind| kind.contains("text/html"))
    {
        return Redirect::to("/explorer").into_response();
    }
    super::refuse_get()
}

fn accept(app: App, parts: &Parts, upgrade: WebSocketUpgrade) -> Response {
    if !is_from_here(&parts.headers) {
        let message = "this page may not open a WebSocket here: its origin is another one";
        return refuse(Code::Forbidden, message);
    }
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(app.body_limit)
        .max_frame_size(app.body_limit);
    if upgrade.selected_protocol().is_none() {
        let message = format!("offer the WebSocket protocol {PROTOCOL}; no other is spoken here");
        return refuse(Code::BadRequest, message);
    }
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str());
    let origin = origin(&parts.headers);
    upgrade.on_upgrade(move |socket| {
        let tasks = app.tasks.clone();
        tasks.track_future(Session::new(app, origin, authorization, socket).run())
    })
}

/// Pages of other sites may not use a browser's sockets with ours. Programs send no origin, and a
/// developer's page on the same machine is welcome.
fn is_from_here(headers: &HeaderMap) -> bool {
    let Some(origin) = text(headers, header::ORIGIN.as_str()) else { return true };
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let Some(host) = origin.host() else { return false };
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let same = origin.authority().map(ToString::to_string) == text(headers, header::HOST.as_str());
    loopback || same
}

/// Why a socket is closed: a code of the protocol and a word for people.
struct Close(u16, String);

type Answers = Pin<Box<dyn Stream<Item = WsMessage> + Send>>;

/// One client's socket.
struct Session {
    app: App,
    origin: Origin,
    /// The header; a token in `connection_init` wins.
    authorization: Option<String>,
    socket: WebSocket,
    requests: UnboundedSender<serde_json::Result<ClientMessage>>,
    answers: Answers,
    under_way: HashSet<String>,
    unanswered_pings: u32,
}

/// What of an answer matters for counting operations.
#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    id: Option<std::borrow::Cow<'a, str>>,
}

impl Session {
    fn new(app: App, origin: Origin, authorization: Option<String>, socket: WebSocket) -> Self {
        let (requests, incoming) = unbounded();
        let answers = answers(app.gate.with_origin(origin.clone()), incoming);
        let (under_way, unanswered_pings) = (HashSet::new(), 0);
        Self { app, origin, authorization, socket, requests, answers, under_way, unanswered_pings }
    }

    async fn run(mut self) {
        let Close(code, reason) = match self.talk().await {
            Ok(()) => return,
            Err(close) => close,
        };
        let frame = CloseFrame { code, reason: reason.into() };
        // A client that is gone needs no good-bye.
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            self.socket.send(Message::Close(Some(frame))),
        )
        .await;
    }

    /// Passes messages on until the client leaves, or has to.
    async fn talk(&mut self) -> Result<(), Close> {
        let mut pings = every(PING_EVERY);
        let mut init_limit = std::pin::pin!(sleep_until(Instant::now() + INIT_LIMIT));
        let shutdown = self.app.shutdown.clone();
        loop {
            let known = self.origin.identity.get().is_some();
            tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => {
                        if !self.hear(message).await? {
                            return Ok(());
                        }
                        if let Some(lifetime) = self.just_known(known) {
                            // From here on the same timer watches the token.
                            init_limit.as_mut().reset(Instant::now() + lifetime);
                        }
                    }
                    Some(Err(_)) | None => return Ok(()),
                },
                answer = self.answers.next() => match answer {
                    Some(WsMessage::Text(text)) => self.say(text).await?,
                    Some(WsMessage::Close(code, reason)) => return Err(Close(code, reason)),
                    None => return Ok(()),
                },
                _ = pings.tick() => self.ping().await?,
                () = &mut init_limit => return Err(overdue(known)),
                () = shutdown.cancelled() => {
                    return Err(Close(1001, "the server is stopping; connect again".to_owned()));
                }
            }
        }
    }

    /// Time that is left to a token that was just accepted.
    fn just_known(&self, known: bool) -> Option<Duration> {
        let identity = self.origin.identity.get().filter(|_| !known)?;
        let left = identity.expires_at - self.app.now();
        Some(left.to_std().unwrap_or_default().min(LONGEST_TIMER))
    }

    /// Takes in one message; false when the client has left.
    async fn hear(&mut self, message: Message) -> Result<bool, Close> {
        self.unanswered_pings = 0;
        let message = match message {
            Message::Text(text) => serde_json::from_str::<ClientMessage>(text.as_str()),
            Message::Binary(bytes) => serde_json::from_slice(&bytes),
            Message::Ping(_) | Message::Pong(_) => return Ok(true),
            Message::Close(_) => return Ok(false),
        };
        let message = message.map_err(|error| Close(4400, shortened(&error.to_string())))?;
        if self.admit(&message).await? {
            // The receiver lives as long as we do.
            let _ = self.requests.unbounded_send(Ok(message));
        }
        Ok(true)
    }

    /// Whether `message` is passed on.
    async fn admit(&mut self, message: &ClientMessage) -> Result<bool, Close> {
        match message {
            ClientMessage::ConnectionInit { payload } => {
                if self.origin.identity.get().is_none() {
                    let identity = self.identify(payload.as_ref())?;
                    let _ = self.origin.identity.set(identity);
                }
                Ok(true)
            }
            ClientMessage::Start { id, .. } => {
                if self.origin.identity.get().is_none() {
                    return Err(Close(4401, "say connection_init first".to_owned()));
                }
                if self.under_way.contains(id) {
                    let reason = format!("Subscriber for {id} already exists");
                    return Err(Close(4409, shortened(&reason)));
                }
                if self.under_way.len() >= MAX_OPERATIONS {
                    self.refuse_operation(id).await?;
                    return Ok(false);
                }
                self.under_way.insert(id.clone());
                Ok(true)
            }
            ClientMessage::Stop { id } => {
                self.under_way.remove(id);
                Ok(true)
            }
            ClientMessage::ConnectionTerminate
            | ClientMessage::Ping { .. }
            | ClientMessage::Pong { .. } => Ok(true),
        }
    }

    fn identify(&self, payload: Option<&serde_json::Value>) -> Result<Identity, Close> {
        let given = payload.and_then(|payload| {
            payload.as_object()?.iter().find_map(|(name, value)| {
                value.as_str().filter(|_| name.eq_ignore_ascii_case("authorization"))
            })
        });
        let authorization = given.or(self.authorization.as_deref());
        self.app.verifier.verify_header(authorization).map_err(|refused| {
            let hint = match refused {
                Refused::Missing => "send {\"authorization\": \"Bearer …\"} in connection_init",
                Refused::NotBearer
                | Refused::Expired
                | Refused::OtherAudience { .. }
                | Refused::OtherIssuer
                | Refused::Invalid { .. } => return Close(4401, shortened(&refused.to_string())),
            };
            Close(4401, shortened(hint))
        })
    }

    async fn refuse_operation(&mut self, id: &str) -> Result<(), Close> {
        let message = format!(
            "{MAX_OPERATIONS} operations are under way on this socket, which is as many as may be; \
             end some, or open another socket"
        );
        let code = Code::TooManySubscriptions.name();
        let error = json!({ "message": message, "extensions": { "code": code } });
        self.send(json!({ "id": id, "type": "error", "payload": [error] }).to_string()).await
    }

    async fn say(&mut self, text: String) -> Result<(), Close> {
        if let Ok(Answered { kind, id: Some(id) }) = serde_json::from_str::<Answered<'_>>(&text)
            && kind == "complete"
        {
            self.under_way.remove(id.as_ref());
        }
        self.send(text).await
    }

    async fn send(&mut self, text: String) -> Result<(), Close> {
        self.deliver(Message::Text(text.into())).await
    }

    async fn ping(&mut self) -> Result<(), Close> {
        if self.unanswered_pings >= MISSED_PINGS {
            return Err(Close(1001, "no sign of life".to_owned()));
        }
        self.unanswered_pings += 1;
        self.deliver(Message::Ping(Vec::new().into())).await
    }

    async fn deliver(&mut self, message: Message) -> Result<(), Close> {
        match tokio::time::timeout(SEND_LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Close(1001, "the client does not read".to_owned())),
        }
    }
}

fn answers(gate: Gate, incoming: UnboundedReceiver<serde_json::Result<ClientMessage>>) -> Answers {
    // Who it is was found out before the message was passed on.
    GraphqlSocket::from_message_stream(gate, incoming, WebSocketProtocols::GraphQLWS)
        .on_connection_init(|_| async { Ok(Data::default()) })
        .boxed()
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn overdue(known: bool) -> Close {
    if known {
        return Close(
            4403,
            "the access token has expired; connect again with a new one".to_owned(),
        );
    }
    Close(4408, "Connection initialisation timeout".to_owned())
}

/// The reason in a close frame has room for 123 bytes (RFC 6455 §5.5).
fn shortened(reason: &str) -> String {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn programs_and_pages_of_the_same_or_this_machine_may_open_sockets() {
        for origin in [
            None,
            Some("http://localhost:5173"),
            Some("http://127.0.0.1:4000"),
            Some("http://[::1]:4000"),
            Some("https://shop.example"),
        ] {
            assert!(is_from_here(&headers(origin, "shop.example")), "{origin:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        for origin in ["https://evil.example", "null", "https://shop.example.evil.example"] {
            assert!(!is_from_here(&headers(Some(origin), "shop.example")), "{origin}");
        }
    }

    #[test]
    fn reasons_fit_into_a_close_frame() {
        assert_eq!(shortened("short"), "short");
        assert!(shortened(&"ä".repeat(100)).len() <= 120);
    }
}

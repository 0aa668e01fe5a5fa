//! GraphQL over WebSocket.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::{Api, must, two_mugs};

const EVENTS: &str = "subscription($id: UUID!, $after: String) {
    orderEvents(orderId: $id, after: $after) { cursor type stream revision actor data }
}";

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn connect(
    api: &Api,
    protocol: &str,
    more: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/graphql", api.address).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    for (name, value) in more {
        headers.insert(*name, value.parse().unwrap());
    }
    let connected = must(tokio_tungstenite::connect_async(request)).await;
    connected.map(|(socket, _)| Socket(socket))
}

impl Socket {
    /// A socket that nobody has introduced themselves on.
    pub(crate) async fn open(api: &Api) -> Self {
        connect(api, "graphql-transport-ws", &[]).await.unwrap()
    }

    /// A socket of the development client.
    pub(crate) async fn of(api: &Api) -> Self {
        let mut socket = Self::open(api).await;
        let authorization = format!("Bearer {}", api.token());
        socket.init(json!({ "authorization": authorization })).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub(crate) async fn init(&mut self, payload: Value) {
        self.say(json!({ "type": "connection_init", "payload": payload })).await;
    }

    pub(crate) async fn say(&mut self, message: Value) {
        must(self.0.send(Message::text(message.to_string()))).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = must(self.0.next()).await.unwrap().unwrap();
            if let Message::Text(text) = &message {
                return serde_json::from_str(text).unwrap();
            }
            assert!(message.is_ping() || message.is_pong(), "{message:?}");
        }
    }

    /// What the next `next` message says about `field`.
    pub(crate) async fn data(&mut self, field: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert_eq!(message["payload"].get("errors"), None, "{message:#}");
        message["payload"]["data"][field].clone()
    }

    /// How the socket is closed, after whatever comes before.
    async fn closed(&mut self) -> CloseFrame {
        loop {
            let message = must(self.0.next()).await.unwrap().unwrap();
            if let Message::Close(frame) = message {
                return frame.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_socket_without_a_good_token_is_closed() {
    let api = Api::start().await;
    for payload in [json!({}), json!(null), json!({ "authorization": "Bearer nonsense" })] {
        let mut socket = Socket::open(&api).await;
        socket.init(payload.clone()).await;
        assert_eq!(u16::from(socket.closed().await.code), 4401, "{payload}");
    }
    let mut silent = Socket::open(&api).await;
    silent.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(u16::from(silent.closed().await.code), 4401);
}

#[tokio::test]
async fn the_token_may_come_as_a_header() {
    let api = Api::start().await;
    let authorization = format!("Bearer {}", api.token());
    let headers = [("authorization", authorization.as_str())];
    let mut socket = connect(&api, "graphql-transport-ws", &headers).await.unwrap();
    socket.init(json!({})).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
}

#[tokio::test]
async fn a_socket_is_closed_when_its_token_expires() {
    let api = Api::start().await;
    // Verified with some leeway, and so expired by now already.
    let now = journal::Clock::now(&journal::SystemClock).timestamp();
    let token = api.token_with(&json!({ "exp": now - 1 }));
    let mut socket = Socket::open(&api).await;
    socket.init(json!({ "authorization": format!("Bearer {token}") })).await;
    assert_eq!(u16::from(socket.closed().await.code), 4403);
}

#[tokio::test]
async fn only_the_current_protocol_is_spoken_and_not_with_pages_of_other_sites() {
    let api = Api::start().await;
    assert!(connect(&api, "graphql-ws", &[]).await.is_err());
    let evil = [("origin", "https://evil.example")];
    assert!(connect(&api, "graphql-transport-ws", &evil).await.is_err());
    let own = [("origin", "http://localhost:3000")];
    assert!(connect(&api, "graphql-transport-ws", &own).await.is_ok());
}

#[tokio::test]
async fn queries_and_mutations_work_over_a_socket_too() {
    let api = Api::start().await;
    let mut socket = Socket::of(&api).await;
    let input = json!({ "idempotencyKey": "r", "items": [{ "sku": "MUG", "quantity": 3 }] });
    socket.subscribe("1", crate::support::STOCK_RECEIVE, json!({ "input": input })).await;
    assert_eq!(socket.data("stockReceive").await["stocks"][0]["onHand"], "3");
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "1" }));
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await["type"], "pong");
}

#[tokio::test]
async fn the_gate_is_in_front_of_sockets_as_well() {
    let api = Api::start().await;
    let mut socket = Socket::open(&api).await;
    let token = api.token_with(&json!({ "scope": "stock:read" }));
    socket.init(json!({ "authorization": format!("Bearer {token}") })).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    let subscription = "subscription { orderEvents(orderId: \"00000000-0000-0000-0000-000000000000\") { cursor } }";
    socket.subscribe("1", subscription, json!({})).await;
    let refused = socket.next().await;
    let error = &refused["payload"]["errors"][0];
    assert_eq!(error["extensions"]["code"], "FORBIDDEN", "{refused:#}");

    let aliases = crate::transport::hundred_aliases();
    socket.next().await;
    socket.subscribe("2", &format!("{{ {aliases} }}"), json!({})).await;
    let refused = socket.next().await;
    let error = &refused["payload"]["errors"][0];
    assert_eq!(error["extensions"]["code"], "QUERY_TOO_EXPENSIVE", "{refused:#}");
}

#[tokio::test]
async fn subscriptions_on_one_socket_are_limited_and_their_ids_unique() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let order = api.place(two_mugs("k")).await["order"]["id"].clone();
    let mut socket = Socket::of(&api).await;
    for n in 0..50 {
        socket.subscribe(&n.to_string(), EVENTS, json!({ "id": order })).await;
        assert_eq!(socket.data("orderEvents").await["type"], "order-placed");
    }
    socket.subscribe("one more", EVENTS, json!({ "id": order })).await;
    let refused = socket.next().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("one more")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "TOO_MANY_SUBSCRIPTIONS");

    socket.say(json!({ "type": "complete", "id": "7" })).await;
    assert_eq!(socket.next().await["type"], "complete");
    socket.subscribe("one more", EVENTS, json!({ "id": order })).await;
    assert_eq!(socket.data("orderEvents").await["type"], "order-placed");

    socket.subscribe("one more", EVENTS, json!({ "id": order })).await;
    assert_eq!(u16::from(socket.closed().await.code), 4409);
}

#[tokio::test]
async fn the_events_of_an_order_come_from_the_first_and_then_as_they_happen() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    api.place(two_mugs("another")).await;
    let order = api.place(two_mugs("k")).await["order"]["id"].clone();
    let mut socket = Socket::of(&api).await;
    socket.subscribe("1", EVENTS, json!({ "id": order })).await;
    let placed = socket.data("orderEvents").await;
    assert_eq!((&placed["type"], &placed["revision"]), (&json!("order-placed"), &json!(0)));
    assert_eq!(placed["actor"], "client:development");
    assert_eq!(placed["data"]["details"]["total"]["minor"], 1290);

    let cancel = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) { replayed } }";
    let input = json!({ "id": order, "reason": "STAFF", "idempotencyKey": "c" });
    api.place(two_mugs("a third")).await;
    api.data(cancel, json!({ "input": input })).await;
    let given_up = socket.data("orderEvents").await;
    assert_eq!(given_up["type"], "order-lines-cancelled");
    assert_eq!(socket.data("orderEvents").await["type"], "order-cancelled");

    let mut later = Socket::of(&api).await;
    later.subscribe("1", EVENTS, json!({ "id": order, "after": placed["cursor"] })).await;
    assert_eq!(later.data("orderEvents").await, given_up, "resuming left something out");
}

#[tokio::test]
async fn an_order_that_does_not_exist_has_no_events() {
    let api = Api::start().await;
    let mut socket = Socket::of(&api).await;
    socket.subscribe("1", EVENTS, json!({ "id": uuid::Uuid::nil() })).await;
    let refused = socket.next().await;
    let code = &refused["payload"]["errors"][0]["extensions"]["code"];
    assert_eq!(code, "NOT_FOUND", "{refused:#}");
}

#[tokio::test]
async fn sockets_are_told_when_the_server_stops() {
    let api = Api::start().await;
    let mut socket = Socket::of(&api).await;
    let (closed, ()) = tokio::join!(socket.closed(), api.stop());
    assert_eq!(u16::from(closed.code), 1001);
}

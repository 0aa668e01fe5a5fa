//! A whole API with everything below it, and words to talk to it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::auth::{DevelopmentIssuer, SECRET_FILE};
use api::{Check, Deps, Options, Scenarios, Server};
use journal::{Clock, Journal, SystemClock};
use keyring::{Keyring, MasterKeys};
use private_postgres::Cluster;
use projector::Projector;
use projector::read_model::Reader;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A database that is not there.
pub(crate) const NO_DATABASE: &str = "postgres://nobody@127.0.0.1:1/nothing";

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) journal: Journal,
    pub(crate) store: embedded_store::Server,
    server: Server,
    shutdown: CancellationToken,
    token: String,
    directory: TempDir,
    client: reqwest::Client,
}

/// An API with everything: a Postgres of its own, and a projector that keeps it up to date.
pub(crate) struct Whole {
    pub(crate) api: Api,
    pub(crate) projector: Projector,
    pub(crate) postgres: Cluster,
}

impl Whole {
    pub(crate) async fn start() -> Self {
        let postgres = must(Cluster::temporary()).await.unwrap();
        let database = postgres.url();
        let choices = Choices { database: database.clone(), ..Choices::default() };
        let api = Api::start_with(choices).await;
        let options = projector::Options::default();
        let projector = Projector::start(&database, api.journal.clone(), options).unwrap();
        must(async {
            while !is_readable(&api).await {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self { api, projector, postgres }
    }
}

/// Whether every projection has been built for the first time.
async fn is_readable(api: &Api) -> bool {
    let (_, body) = api.ask("{ projections { position } }", json!({})).await;
    let projections = body["data"]["projections"].as_array();
    projections.is_some_and(|all| all.iter().all(|one| one["position"].is_string()))
}

/// What a test wants to be different.
pub(crate) struct Choices {
    pub(crate) database: String,
    pub(crate) options: Options,
    pub(crate) scenarios: Option<Scenarios>,
    pub(crate) checks: Vec<Check>,
}

impl Default for Choices {
    fn default() -> Self {
        let database = NO_DATABASE.to_owned();
        Self { database, options: Options::default(), scenarios: None, checks: vec![] }
    }
}

pub(crate) async fn must<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.expect("this hangs")
}

impl Api {
    /// An API over an event store, and without a Postgres.
    pub(crate) async fn start() -> Self {
        Self::start_with(Choices::default()).await
    }

    pub(crate) async fn start_with(choices: Choices) -> Self {
        let store = embedded_store::serve(any_port().await, embedded_store::Options::temporary());
        let store = store.await.unwrap();
        let address = store.connection_string().parse().unwrap();
        let journal = Journal::connect(journal::Options::new(address), Arc::new(SystemClock));
        let journal = journal.unwrap();
        must(journal.wait_ready(PATIENCE)).await.unwrap();

        let directory = tempfile::tempdir().unwrap();
        let issuer = DevelopmentIssuer::open(directory.path()).unwrap();
        let audience = choices.options.jwt_audience.clone();
        let token = issuer.token(&audience, None, SystemClock.now()).unwrap();
        let deps = Deps {
            journal: journal.clone(),
            keyring: Keyring::new(journal.clone(), MasterKeys::random()),
            reader: Reader::connect_lazy(&choices.database).unwrap(),
            verifier: issuer.verifier(&audience, None).unwrap(),
            options: choices.options,
            scenarios: choices.scenarios,
            checks: choices.checks,
        };
        let shutdown = CancellationToken::new();
        let server = api::serve(any_port().await, deps, shutdown.clone()).unwrap();
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let address = server.address();
        Self { address, journal, store, server, shutdown, token, directory, client }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// A token like the development token, with these claims changed; `null` takes one away.
    pub(crate) fn token_with(&self, changes: &Value) -> String {
        let exp = SystemClock.now().timestamp() + 3600;
        let mut claims = json!({
            "sub": "client:tester", "aud": "orderstore", "exp": exp,
            "scope": api::auth::Scopes::all().to_string(),
        });
        let all = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            all.insert(name.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        let secret = std::fs::read_to_string(self.directory.path().join(SECRET_FILE)).unwrap();
        let key = jsonwebtoken::EncodingKey::from_secret(secret.trim().as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }

    /// A request to the GraphQL address, with the development token.
    pub(crate) fn post(&self) -> reqwest::RequestBuilder {
        self.client.post(self.url("/graphql")).bearer_auth(&self.token)
    }

    /// The same without a token.
    pub(crate) fn post_anonymously(&self) -> reqwest::RequestBuilder {
        self.client.post(self.url("/graphql"))
    }

    /// Status and body of a GraphQL request.
    pub(crate) async fn ask(&self, query: &str, variables: Value) -> (u16, Value) {
        sent(self.post().json(&json!({ "query": query, "variables": variables }))).await
    }

    /// The data of a GraphQL request that must succeed.
    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        let (status, body) = self.ask(query, variables).await;
        assert!(status == 200 && body.get("errors").is_none(), "{status}: {body:#}");
        body["data"].clone()
    }

    /// Takes `quantity` of each SKU into stock.
    pub(crate) async fn receive(&self, skus: &[&str], quantity: i64) {
        let items: Vec<_> =
            skus.iter().map(|sku| json!({ "sku": sku, "quantity": quantity })).collect();
        let input = json!({ "idempotencyKey": "initial", "items": items });
        let received = self.data(STOCK_RECEIVE, json!({ "input": input })).await;
        assert_eq!(received["stockReceive"]["userErrors"], json!([]), "{received:#}");
    }

    /// The payload of `orderPlace`.
    pub(crate) async fn place(&self, input: Value) -> Value {
        self.data(ORDER_PLACE, json!({ "input": input })).await["orderPlace"].clone()
    }

    /// Tells the server to stop.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Everything stops in order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        must(self.server.stopped()).await.unwrap();
        must(self.store.stop()).await;
    }
}

pub(crate) async fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Status and body of an answer in JSON.
pub(crate) async fn sent(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = must(request.send()).await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    (status, body)
}

/// The code of the first error.
pub(crate) fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

pub(crate) const STOCK_RECEIVE: &str = "mutation($input: StockReceiveInput!) {
    stockReceive(input: $input) {
        stocks { sku onHand reserved available revision } position replayed
        userErrors { __typename code field message }
    }
}";

pub(crate) const ORDER_PLACE: &str = "mutation($input: OrderPlaceInput!) {
    orderPlace(input: $input) {
        order {
            id number status channel customer country currencyCode total { amount currencyCode }
            handling reference placedAt updatedAt revision quarantined
            lines { sku title kind quantity unitPrice { amount } total { amount currencyCode } }
        }
        position replayed
        userErrors {
            __typename code field message
            ... on TotalMismatch { declared { amount } computed { amount } }
            ... on UnknownSku { sku }
        }
    }
}";

/// An order of two mugs and postage, under `key`.
pub(crate) fn two_mugs(key: &str) -> Value {
    json!({
        "idempotencyKey": key,
        "customer": "c-17",
        "country": "GB",
        "currencyCode": "GBP",
        "lines": [
            { "sku": "MUG", "title": "A mug", "quantity": 2, "unitPrice": { "amount": "4.95" } },
            { "sku": "POST", "kind": "CHARGE", "quantity": 1, "unitPrice": { "amount": "3.00" } },
        ],
        "total": { "amount": "12.90", "currencyCode": "GBP" },
        "paymentToken": "tok_visa",
    })
}

/// `input` with the value at `path` (such as `/lines/0/quantity`) set to `value`.
pub(crate) fn with(mut input: Value, path: &str, value: Value) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = input.pointer_mut(parent).unwrap();
    match name.parse::<usize>() {
        Ok(number) => parent[number] = value,
        Err(_) => parent[name] = value,
    }
    input
}

/// `input` without the member at `path`.
pub(crate) fn without(mut input: Value, path: &str) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    input.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    input
}

//! A running simulator and short ways to ask it.
#![expect(clippy::unwrap_used, reason = "a panic here fails the rule that called, as it should")]

use std::time::Duration;

use partner_simulator::{Options, Simulator, serve};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Fast enough for tests; everything else as by default.
pub(crate) fn options() -> Options {
    Options { payment_delay: Duration::ZERO, ..Options::default() }
}

pub(crate) struct Partner {
    pub(crate) simulator: Simulator,
    pub(crate) caller: Caller,
}

impl Partner {
    pub(crate) async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = serve(listener, options).unwrap();
        let caller = Caller::of(&simulator.base_url());
        Self { simulator, caller }
    }

    /// Stops it and starts another one with these options.
    pub(crate) async fn restart(self, options: Options) -> Self {
        self.simulator.stop().await;
        Self::start(options).await
    }
}

#[derive(Clone)]
pub(crate) struct Caller {
    base_url: String,
    client: reqwest::Client,
}

impl Caller {
    pub(crate) fn of(base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), client: reqwest::Client::new() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base_url))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn post_nothing(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path)).await
    }

    /// Asks until the answer's status word is `status`.
    pub(crate) async fn until(&self, path: &str, status: &str) -> Value {
        for _ in 0..3000 {
            let (_, body) = self.get(path).await;
            if body["status"] == status {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} is not {status} within 30 seconds");
    }
}

impl Caller {
    /// Asks for the same again until it is done and no longer pending.
    pub(crate) async fn until_done(&self, path: &str, body: &Value) -> Value {
        for _ in 0..3000 {
            let (status, answer) = self.post(path, body).await;
            if status != StatusCode::ACCEPTED {
                assert_eq!(status, StatusCode::OK, "{answer}");
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} is still pending after 30 seconds");
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// An authorisation of 100.00 euros with the given card.
pub(crate) fn payment(token: &str) -> Value {
    json!({ "order": "order-1", "amount": 10_000, "currency": "EUR", "token": token })
}

pub(crate) fn part(key: &str, amount: i64) -> Value {
    json!({ "key": key, "amount": amount })
}

pub(crate) fn shipment() -> Value {
    json!({ "order": "order-1", "destination_country": "DE", "parcels": [{ "grams": 900 }] })
}

pub(crate) fn assert_refused(answer: &(StatusCode, Value), status: u16, code: &str) {
    assert_eq!((answer.0.as_u16(), &answer.1["code"]), (status, &json!(code)), "{}", answer.1);
    assert!(answer.1["message"].is_string(), "{}", answer.1);
}

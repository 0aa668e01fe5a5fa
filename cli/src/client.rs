//! The CLI as a client of the public GraphQL API: the same surface that everybody else has.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures::{SinkExt, Stream, StreamExt, stream};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// How long an API that cannot be reached, or says that it is busy, is asked again.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of one API, with a token.
#[derive(Clone)]
pub(crate) struct Client {
    base_url: String,
    token: String,
    http: reqwest::Client,
}

/// Why a request failed: nobody answered it in time, so what became of it is unknown.
#[derive(Debug)]
pub(crate) struct Unanswered;

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer in {} s", PATIENCE.as_secs())
    }
}

/// Why a request had no result.
enum Failure {
    /// Worth repeating: mutations carry an idempotency key.
    Passing(anyhow::Error),
    Lasting(anyhow::Error),
}

impl Failure {
    /// What is cut off, or comes from a proxy in between, may be better next time; what is wrong with
    /// the request stays wrong.
    fn of(status: StatusCode, error: anyhow::Error) -> Self {
        if status.is_client_error() { Self::Lasting(error) } else { Self::Passing(error) }
    }
}

impl Client {
    pub(crate) fn new(base_url: &str, token: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), token, http })
    }

    /// Runs a query or mutation, repeating it while the API is away.
    pub(crate) async fn run<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: Value,
    ) -> anyhow::Result<T> {
        let body = json!({ "query": query, "variables": variables });
        let start = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            match self.try_run(&body).await {
                Ok(data) => return serde_json::from_value(data).context("an unexpected answer"),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error)) if start.elapsed() > PATIENCE => {
                    return Err(error.context(Unanswered));
                }
                Err(Failure::Passing(_)) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    async fn try_run(&self, body: &Value) -> Result<Value, Failure> {
        let url = format!("{}/graphql", self.base_url);
        let sent = self.http.post(&url).bearer_auth(&self.token).json(body).send().await;
        let unreachable =
            || format!("no API answers at {}; is `orderstore up` running?", self.base_url);
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Err(Failure::Passing(anyhow!(error).context(unreachable()))),
        };
        let status = response.status();
        let answer: Value = match response.json().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = anyhow!(error).context(format!("HTTP {status} without an answer"));
                return Err(Failure::of(status, error));
            }
        };
        let Some(errors) =
            answer.get("errors").and_then(Value::as_array).filter(|it| !it.is_empty())
        else {
            if status.is_success() {
                return Ok(answer.get("data").cloned().unwrap_or_default());
            }
            let error = anyhow!("{} answers with HTTP {status}", self.base_url);
            return Err(Failure::of(status, error));
        };
        let error = anyhow!("{}", messages(errors));
        let passing = status.is_server_error()
            || errors.iter().any(|error| {
                let code = error.pointer("/extensions/code").and_then(Value::as_str);
                matches!(code, Some("UNAVAILABLE" | "STALE_READ" | "TIMEOUT"))
            });
        Err(if passing { Failure::Passing(error) } else { Failure::Lasting(error) })
    }

    /// The data of a subscription, as they come (protocol graphql-transport-ws).
    pub(crate) async fn subscribe(
        &self,
        query: &str,
        variables: Value,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<Value>> + Send + Unpin + use<>> {
        let url = format!("{}/graphql", self.base_url.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let without_delay = true;
        let (mut socket, _) =
            tokio_tungstenite::connect_async_with_config(request, None, without_delay)
                .await
                .context("the API does not accept a WebSocket")?;
        let payload = json!({ "authorization": format!("Bearer {}", self.token) });
        send(&mut socket, &json!({ "type": "connection_init", "payload": payload })).await?;
        let payload = json!({ "query": query, "variables": variables });
        send(&mut socket, &json!({ "id": "1", "type": "subscribe", "payload": payload })).await?;
        Ok(Box::pin(stream::unfold(socket, |mut socket| async move {
            loop {
                let message = match socket.next().await? {
                    Ok(Message::Text(text)) => text,
                    Ok(Message::Close(frame)) => {
                        let reason = frame.map(|it| it.reason.to_string()).unwrap_or_default();
                        return Some((
                            Err(anyhow!("the API closed the subscription: {reason}")),
                            socket,
                        ));
                    }
                    Ok(_) => continue,
                    Err(error) => return Some((Err(error.into()), socket)),
                };
                let message: Value = serde_json::from_str(&message).unwrap_or_default();
                match message.get("type").and_then(Value::as_str) {
                    Some("next") => {
                        let payload = message.get("payload").cloned().unwrap_or_default();
                        return Some((understand(&payload), socket));
                    }
                    Some("error") => {
                        return Some((
                            Err(anyhow!("the API refused the subscription: {message}")),
                            socket,
                        ));
                    }
                    Some("complete") => return None,
                    Some("ping") => {
                        if let Err(error) = send(&mut socket, &json!({ "type": "pong" })).await {
                            return Some((Err(error), socket));
                        }
                    }
                    Some(_) | None => {}
                }
            }
        })))
    }
}

fn understand(payload: &Value) -> anyhow::Result<Value> {
    if let Some(errors) =
        payload.get("errors").and_then(Value::as_array).filter(|it| !it.is_empty())
    {
        bail!("{}", messages(errors));
    }
    Ok(payload.get("data").cloned().unwrap_or_default())
}

fn messages(errors: &[Value]) -> String {
    let message = |error: &Value| error.get("message").and_then(Value::as_str).map(str::to_owned);
    errors.iter().filter_map(message).collect::<Vec<_>>().join("; ")
}

async fn send<S>(socket: &mut S, message: &Value) -> anyhow::Result<()>
where
    S: futures::Sink<Message, Error = tokio_tungstenite::tungstenite::Error> + Unpin,
{
    socket.send(Message::text(message.to_string())).await.context("the subscription broke")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A client of something that gives these answers, one per connection, and then is gone.
    async fn client_of(answers: &'static [&'static str]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                // Closing before everything is read would throw the answer away.
                let mut request = vec![];
                while !request.ends_with(br#""variables":{}}"#) {
                    assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
                }
                socket.write_all(answer.as_bytes()).await.unwrap();
                socket.shutdown().await.unwrap();
            }
        });
        Client::new(&url, "token".to_owned()).unwrap()
    }

    #[tokio::test]
    async fn what_a_proxy_or_a_broken_connection_did_is_asked_again() {
        let client = client_of(&[
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy",
            "HTTP/1.1 503 Busy\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwait",
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{\"data\":",
            "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"data\":\"x\"}",
        ])
        .await;
        let data: String = client.run("{ it }", json!({})).await.unwrap();
        assert_eq!(data, "x");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_request_is_not_asked_again() {
        for refusal in [
            &["HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnone"],
            &["HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"],
        ] {
            let client = client_of(refusal).await;
            // A second request would find nobody there, and say so.
            let error = client.run::<Value>("{ it }", json!({})).await.unwrap_err();
            assert!(format!("{error:#}").contains("HTTP 40"), "{error:#}");
        }
    }
}

//! A client of the users service, which the official Rust client does not have.

use base64::Engine as _;
use embedded_store::Server;
use tonic::codec::ProstCodec;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::harness::soon;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Wrapped<T: prost::Message + Default> {
    #[prost(message, optional, tag = "1")]
    pub(super) options: Option<T>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NewUser {
    #[prost(string, tag = "1")]
    pub(super) login_name: String,
    #[prost(string, tag = "2")]
    pub(super) password: String,
    #[prost(string, tag = "3")]
    pub(super) full_name: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) groups: Vec<String>,
}

/// A login and up to two passwords.
#[derive(Clone, PartialEq, prost::Message)]
struct Texts {
    #[prost(string, tag = "1")]
    first: String,
    #[prost(string, tag = "2")]
    second: String,
    #[prost(string, tag = "3")]
    third: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Details {
    #[prost(string, tag = "1")]
    pub(super) login_name: String,
    #[prost(string, tag = "2")]
    pub(super) full_name: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) groups: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) last_updated: Option<Ticks>,
    #[prost(bool, tag = "5")]
    pub(super) disabled: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Ticks {
    #[prost(int64, tag = "1")]
    pub(super) since_epoch: i64,
}

pub(super) struct UsersClient {
    grpc: tonic::client::Grpc<Channel>,
    credentials: String,
}

impl UsersClient {
    pub(super) async fn connect(server: &Server, credentials: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{}", server.address())).unwrap();
        let grpc = tonic::client::Grpc::new(soon(channel.connect()).await.unwrap());
        Self { grpc, credentials: credentials.to_owned() }
    }

    /// The same connection for somebody else; nobody if the credentials are empty.
    pub(super) fn by(&self, credentials: &str) -> Self {
        Self { grpc: self.grpc.clone(), credentials: credentials.to_owned() }
    }

    pub(super) async fn create(
        &self,
        login: &str,
        password: &str,
        groups: &[&str],
    ) -> Result<(), Status> {
        self.write("Create", login, password, groups).await
    }

    pub(super) async fn update(&self, login: &str, groups: &[&str]) -> Result<(), Status> {
        self.write("Update", login, "", groups).await
    }

    async fn write(
        &self,
        method: &str,
        login: &str,
        password: &str,
        groups: &[&str],
    ) -> Result<(), Status> {
        let user = NewUser {
            login_name: login.to_owned(),
            password: password.to_owned(),
            full_name: format!("{method} {login}"),
            groups: groups.iter().copied().map(ToOwned::to_owned).collect(),
        };
        self.call(method, user).await
    }

    /// Any of the calls that take a login and passwords.
    pub(super) async fn change<const N: usize>(
        &self,
        method: &str,
        texts: [&str; N],
    ) -> Result<(), Status> {
        let text = |place: usize| texts.get(place).copied().unwrap_or_default().to_owned();
        self.call(method, Texts { first: text(0), second: text(1), third: text(2) }).await
    }

    pub(super) async fn details(&self, login: &str) -> Result<Vec<Details>, Status> {
        let mut grpc = self.grpc.clone();
        let request = self.request(Texts { first: login.to_owned(), ..Texts::default() });
        let codec = ProstCodec::<Wrapped<Texts>, Wrapped<Details>>::default();
        soon(async {
            grpc.ready().await.unwrap();
            let mut answers =
                grpc.server_streaming(request, path("Details"), codec).await?.into_inner();
            let mut found = Vec::new();
            while let Some(answer) = answers.message().await? {
                found.push(answer.options.unwrap());
            }
            Ok(found)
        })
        .await
    }

    async fn call<T: prost::Message + Default + 'static>(
        &self,
        method: &str,
        options: T,
    ) -> Result<(), Status> {
        let mut grpc = self.grpc.clone();
        let codec = ProstCodec::<Wrapped<T>, ()>::default();
        soon(async {
            grpc.ready().await.unwrap();
            grpc.unary(self.request(options), path(method), codec).await.map(drop)
        })
        .await
    }

    fn request<T: prost::Message + Default>(&self, options: T) -> Request<Wrapped<T>> {
        let mut request = Request::new(Wrapped { options: Some(options) });
        if !self.credentials.is_empty() {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&self.credentials);
            let header = format!("Basic {encoded}").parse().unwrap();
            request.metadata_mut().insert("authorization", header);
        }
        request
    }
}

fn path(method: &str) -> tonic::codegen::http::uri::PathAndQuery {
    format!("/event_store.client.users.Users/{method}").parse().unwrap()
}

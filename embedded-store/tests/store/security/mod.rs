//! Who gets in, what they may do, and that nobody else listens.

mod access;
mod encryption;
mod services;
mod users;
mod users_client;

use std::path::Path;

use embedded_store::{Authentication, Options, Server};
use eventstore::{
    Acl, AppendToStreamOptions, Client, Error, ReadAllOptions, StreamAclBuilder,
    StreamMetadataBuilder,
};
use users_client::UsersClient;

use crate::harness::{soon, start};

const ADMIN: &str = "admin:changeit";
const OPS: &str = "ops:changeit-too";
const ANN: &str = "ann:one";

fn authentication() -> Authentication {
    Authentication::with_passwords("changeit", "changeit-too")
}

fn guarded() -> Options {
    Options { authentication: Some(authentication()), ..Options::temporary() }
}

fn guarded_at(directory: &Path) -> Options {
    Options { data_dir: Some(directory.to_owned()), ..guarded() }
}

/// A server with a user besides the first two, who is in a group of no meaning.
async fn server_with_ann() -> Server {
    let server = start(guarded()).await;
    UsersClient::connect(&server, ADMIN).await.create("ann", "one", &["readers"]).await.unwrap();
    server
}

fn client(server: &Server, credentials: &str) -> Client {
    let with = format!("esdb://{credentials}@");
    Client::new(server.connection_string().replace("esdb://", &with).parse().unwrap()).unwrap()
}

fn anonymous(server: &Server) -> Client {
    Client::new(server.connection_string().parse().unwrap()).unwrap()
}

fn is_denied<T>(outcome: &eventstore::Result<T>) -> bool {
    matches!(outcome, Err(Error::AccessDenied))
}

async fn read_log(client: &Client) -> eventstore::Result<()> {
    soon(async {
        let mut events = client.read_all(&ReadAllOptions::default().max_count(1)).await?;
        events.next().await.map(drop)
    })
    .await
}

/// Gives rights on a stream to one user or group each.
async fn set_list(client: &Client, stream: &str, read: &str, write: &str) {
    let list = StreamAclBuilder::new()
        .add_read_roles(read)
        .add_write_roles(write)
        .add_delete_roles("$admins")
        .add_meta_read_roles("$admins")
        .add_meta_write_roles("$admins")
        .build();
    let metadata = StreamMetadataBuilder::new().acl(Acl::Stream(list)).build();
    let options = AppendToStreamOptions::default();
    soon(client.set_stream_metadata(stream, &options, &metadata)).await.unwrap();
}

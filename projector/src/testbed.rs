//! What tests of the inside of this crate stand on: an event store of their own, and databases in
//! one Postgres that all of them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use journal::{Journal, SystemClock};
use private_postgres::Cluster;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use crate::{database, generation};

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty event store, which lives as long as its server is held.
pub(crate) async fn event_store() -> (embedded_store::Server, Journal) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = embedded_store::Options::temporary();
    let store = embedded_store::serve(listener, options).await.unwrap();
    let options = journal::Options::new(store.connection_string().parse().unwrap());
    let journal = Journal::connect(options, Arc::new(SystemClock)).unwrap();
    (store, journal)
}

/// A new database with empty read models: its URL, and the address that this is.
pub(crate) async fn read_models() -> (String, PgConnectOptions) {
    let cluster = CLUSTER.get_or_init(async || Cluster::temporary().await.unwrap()).await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut server = PgConnection::connect(&cluster.url()).await.unwrap();
    let create = AssertSqlSafe(format!("create database {name}"));
    sqlx::raw_sql(create).execute(&mut server).await.unwrap();
    let url = cluster.url().replacen("/orderstore?", &format!("/{name}?"), 1);
    let address = database::address(&url).unwrap();
    generation::migrate(&address).await.unwrap();
    (url, address)
}

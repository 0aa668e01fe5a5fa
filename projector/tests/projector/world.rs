//! A database and an event store of a test's own, and what tests do with them.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use journal::{ExpectedRevision, Journal, Position, Proposed, SystemClock, ids};
use private_postgres::Cluster;
use projector::read_model::Reader;
use projector::{Options, ProjectionName, Projector, WorkerStatus};
use schemas::{Encoded, Metadata, StoredEvent, StreamName};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use uuid::Uuid;

use crate::history::at;

/// No healthy machine takes so long for anything here.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub(crate) struct World {
    pub(crate) journal: Journal,
    pub(crate) url: String,
    server_url: String,
    database: String,
    store: embedded_store::Server,
}

impl World {
    /// A new database in the cluster that all tests share, not migrated, and an empty store.
    pub(crate) async fn open() -> Self {
        let cluster = CLUSTER.get_or_init(async || Cluster::temporary().await.unwrap()).await;
        Self::open_at(&cluster.url()).await
    }

    /// The same in another cluster.
    pub(crate) async fn open_at(server_url: &str) -> Self {
        Self::open_with(server_url, embedded_store::Options::temporary(), "").await
    }

    /// The same, with an event store that asks everybody who they are. We are `admin`.
    pub(crate) async fn open_guarded() -> Self {
        let cluster = CLUSTER.get_or_init(async || Cluster::temporary().await.unwrap()).await;
        let authentication = embedded_store::Authentication::with_passwords("secret", "secret");
        let options = embedded_store::Options {
            authentication: Some(authentication),
            ..embedded_store::Options::temporary()
        };
        Self::open_with(&cluster.url(), options, "admin:secret@").await
    }

    async fn open_with(
        server_url: &str,
        options: embedded_store::Options,
        credentials: &str,
    ) -> Self {
        let database = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let url = server_url.replacen("/orderstore?", &format!("/{database}?"), 1);
        assert_ne!(url, server_url);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = embedded_store::serve(listener, options).await.unwrap();
        let journal = connect(&store, credentials);
        let server_url = server_url.to_owned();
        let world = Self { journal, url, server_url, database, store };
        world.create_database().await;
        world
    }

    pub(crate) async fn create_database(&self) {
        self.on_server(&format!("create database {}", self.database)).await;
    }

    /// Drops the database, whoever uses it.
    pub(crate) async fn drop_database(&self) {
        self.on_server(&format!("drop database {} with (force)", self.database)).await;
    }

    async fn on_server(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.server_url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Meddles with the database behind everybody's back.
    pub(crate) async fn execute(&self, statement: &'static str) -> u64 {
        let mut connection = self.connection().await;
        sqlx::query(statement).execute(&mut connection).await.unwrap().rows_affected()
    }

    /// Keeps what is in a table of orders now, to [`restore`](Self::restore) it later.
    pub(crate) async fn keep(&self, table: &str) {
        let keep = format!("create table public.kept_{table} as select * from orders_g1.{table}");
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(keep)).execute(&mut connection).await.unwrap();
    }

    /// Makes a table of orders what it was when it was kept.
    pub(crate) async fn restore(&self, table: &str) {
        // Not the columns that follow from others.
        let columns = "select string_agg(quote_ident(attname), ', ') from pg_attribute \
             where attrelid = ('orders_g1.' || $1)::regclass and attnum > 0 \
             and not attisdropped and attgenerated = ''";
        let mut connection = self.connection().await;
        let columns: String =
            sqlx::query_scalar(columns).bind(table).fetch_one(&mut connection).await.unwrap();
        let restore = format!(
            "truncate orders_g1.{table}; \
             insert into orders_g1.{table} ({columns}) select {columns} from public.kept_{table}"
        );
        sqlx::raw_sql(AssertSqlSafe(restore)).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn number(&self, statement: &'static str) -> i64 {
        let mut connection = self.connection().await;
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
    }

    /// Small batches and a quick take-over.
    pub(crate) fn options() -> Options {
        Options {
            batch: 50,
            heartbeat: Duration::from_millis(50),
            take_over_after: Duration::from_secs(1),
            ..Options::default()
        }
    }

    pub(crate) fn projector(&self) -> Projector {
        Projector::start(&self.url, self.journal.clone(), Self::options()).unwrap()
    }

    /// Sets the database up and has readers see what the log has by now.
    pub(crate) async fn open_to_readers(&self) {
        let projector = self.projector();
        settled(self, &projector).await;
        projector.stop().await;
    }

    /// The same event store, for somebody who is no administrator of it.
    pub(crate) fn journal_of_ops(&self) -> Journal {
        connect(&self.store, "ops:secret@")
    }

    /// Lets `role` read a stream, and nobody else.
    pub(crate) async fn let_read(&self, stream: &str, role: &str) {
        let address = self.store.connection_string().replace("esdb://", "esdb://admin:secret@");
        let administrator = eventstore::Client::new(address.parse().unwrap()).unwrap();
        let list = eventstore::StreamAclBuilder::new().add_read_roles(role).build();
        let metadata =
            eventstore::StreamMetadataBuilder::new().acl(eventstore::Acl::Stream(list)).build();
        let any = eventstore::AppendToStreamOptions::default();
        Box::pin(administrator.set_stream_metadata(stream, &any, &metadata)).await.unwrap();
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::connect_lazy(&self.url).unwrap()
    }

    /// Appends `events` to `stream`, at its end.
    pub(crate) async fn append<E: StoredEvent>(
        &self,
        stream: &StreamName,
        events: &[E],
    ) -> Position {
        self.append_encoded(stream, events.iter().map(StoredEvent::encode).collect()).await
    }

    pub(crate) async fn append_encoded(
        &self,
        stream: &StreamName,
        events: Vec<Encoded>,
    ) -> Position {
        let last = self.journal.read_last(stream, 1).await.unwrap();
        let revision = last.last().map(|event| event.revision);
        self.append_after(revision, stream, events).await
    }

    /// Appends `events` behind the event of this revision, whoever wrote that.
    pub(crate) async fn append_after(
        &self,
        revision: Option<u64>,
        stream: &StreamName,
        events: Vec<Encoded>,
    ) -> Position {
        let first = revision.map_or(0, |revision| revision + 1);
        let proposed = (first..).zip(events).map(|(revision, encoded)| Proposed {
            event_id: ids::new_id(),
            metadata: metadata(encoded.version, revision),
            encoded,
        });
        let expected = ExpectedRevision::after(revision);
        self.journal.append(stream, expected, proposed.collect()).await.unwrap().position
    }

    /// Somebody else appends an event to `stream` that is none of ours.
    pub(crate) async fn append_foreign(&self, stream: &StreamName) {
        let address = self.store.connection_string().parse().unwrap();
        let foreigner = eventstore::Client::new(address).unwrap();
        let event = eventstore::EventData::json("their-event", &"data").unwrap();
        let any = eventstore::AppendToStreamOptions::default();
        Box::pin(foreigner.append_to_stream(stream.as_str(), &any, event)).await.unwrap();
    }

    /// Every row of every table that is live, and the quarantine, as text.
    pub(crate) async fn dump(&self) -> Vec<String> {
        const TABLES: &str = "select table_schema || '.' || table_name::text \
             from information_schema.tables t join orderstore.projections p \
             on t.table_schema = p.name || '_g' || p.generation and p.state = 'live' \
             order by table_name";
        let mut connection = self.connection().await;
        let tables: Vec<String> =
            sqlx::query_scalar(TABLES).fetch_all(&mut connection).await.unwrap();
        assert_eq!(tables.len(), 15, "{tables:?}");
        let mut dump = vec![];
        for table in tables {
            let name = table.split_once('.').unwrap().1;
            let rows = format!("select '{name} ' || t::text from {table} t order by t::text");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap();
            dump.extend(rows);
        }
        let quarantine = "select 'quarantine ' || stream || ' ' || revision || ' ' || error \
             from orderstore.quarantine q join orderstore.projections p \
             on p.name = q.projection and p.generation = q.generation and p.state = 'live' \
             order by 1";
        let rows: Vec<String> =
            sqlx::query_scalar(quarantine).fetch_all(&mut connection).await.unwrap();
        dump.extend(rows);
        dump
    }
}

fn connect(store: &embedded_store::Server, credentials: &str) -> Journal {
    let address = store.connection_string().replace("esdb://", &format!("esdb://{credentials}"));
    let options = journal::Options::new(address.parse().unwrap());
    let options = options.with_deadline(Duration::from_secs(20));
    Journal::connect(options, Arc::new(SystemClock)).unwrap()
}

/// The same at every replay.
fn metadata(schema_version: u32, revision: u64) -> Metadata {
    Metadata {
        command_id: Uuid::from_u128(1),
        correlation_id: Uuid::from_u128(2),
        causation_id: Uuid::from_u128(3),
        actor: "test:projector".to_owned(),
        schema_version,
        recorded_at: at(i64::try_from(revision).unwrap()),
        traceparent: None,
    }
}

/// Waits until the worker of `name` is in a state.
pub(crate) async fn until(
    projector: &Projector,
    name: ProjectionName,
    what: impl FnMut(&WorkerStatus) -> bool,
) -> WorkerStatus {
    let mut status = projector.watch(name);
    let reached = timeout(DEADLINE, status.wait_for(what)).await;
    let Ok(status) = reached else {
        panic!("{name} is still at {:?}", projector.watch(name).borrow().clone())
    };
    status.unwrap().clone()
}

/// Waits until all workers have got to the end of the log.
pub(crate) async fn settled(world: &World, projector: &Projector) {
    let head = world.journal.head().await.unwrap();
    for name in ProjectionName::ALL {
        until(projector, name, |status| status.position >= head && status.caught_up).await;
    }
}

/// Asks again and again until the answer is as wanted.
pub(crate) async fn eventually<T: Debug, F: Future<Output = T>>(
    what: &str,
    mut ask: impl FnMut() -> F,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let mut last = None;
    let asking = async {
        loop {
            let answer = ask().await;
            if wanted(&answer) {
                return answer;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Ok(answer) = timeout(DEADLINE, asking).await else { panic!("{what}: still {last:?}") };
    answer
}

/// A cluster that can be stopped and started again, in `data_dir`.
pub(crate) async fn cluster_in(data_dir: &Path) -> Cluster {
    let binaries = private_postgres::Binaries::find(None).unwrap();
    let options = private_postgres::Options {
        durable: false,
        ..private_postgres::Options::new(data_dir, binaries)
    };
    Cluster::start(options).await.unwrap()
}

//! Rows go into a real Postgres both ways, and come out as they were.

use chrono::{DateTime, TimeDelta, Utc};
use const_format::concatcp;
use private_postgres::Cluster;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::Connection;
use sqlx::types::Json;
use uuid::Uuid;

use super::*;

table! {
    /// One column of every type.
    struct Thing {
        /// First half of the key.
        pub id: Uuid,
        /// Second half.
        pub number: i32,
        /// Text that may be missing.
        pub name: Option<String>,
        /// Never changes.
        pub origin: String,
        /// A list.
        pub tags: Vec<String>,
        /// JSON.
        pub notes: Json<Vec<String>>,
        /// A small number.
        pub small: Option<i16>,
        /// A large number.
        pub large: i64,
        /// Yes or no.
        pub good: bool,
        /// A time.
        pub at: DateTime<Utc>,
    }
    in things, key 2, of id, once [origin]
}

const THINGS: &str = "create table things (
    id uuid not null, number integer not null, name text, origin text not null,
    tags text[] not null, notes jsonb not null, small smallint, large bigint not null,
    good boolean not null, at timestamptz not null, primary key (id, number)
)";

/// What Postgres takes as text: anything but the zero character.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[^\\x00]{0,12}",
        1 => Just("{\"a\\\\\", NULL, 'b'}".to_owned()),
    ]
}

fn thing() -> impl Strategy<Value = Thing> {
    let key = (0..3_u128, 0..3_i32);
    let texts = (prop::option::of(text()), text(), prop::collection::vec(text(), 0..4));
    let rest = (
        prop::collection::vec("[^\\x00]{0,6}", 0..3),
        prop::option::of(any::<i16>()),
        any::<i64>(),
        any::<bool>(),
        -2_000_000_000_000_000..4_000_000_000_000_000_i64,
    );
    (key, texts, rest).prop_map(|((id, number), (name, origin, tags), rest)| Thing {
        id: Uuid::from_u128(id),
        number,
        name,
        origin,
        tags,
        notes: Json(rest.0),
        small: rest.1,
        large: rest.2,
        good: rest.3,
        at: DateTime::UNIX_EPOCH + TimeDelta::microseconds(rest.4),
    })
}

/// Things with different keys, in the order of their keys.
fn things() -> impl Strategy<Value = Vec<Thing>> {
    prop::collection::vec(thing(), 0..8).prop_map(|mut things| {
        things.sort_by_key(|thing| (thing.id, thing.number));
        things.dedup_by_key(|thing| (thing.id, thing.number));
        things
    })
}

fn rows_of(things: &[Thing]) -> Rows {
    let mut rows = Rows::default();
    for thing in things {
        rows.put(thing);
    }
    rows
}

async fn stored(connection: &mut PgConnection) -> Vec<Thing> {
    let all =
        sqlx::query_as(concatcp!("select ", Thing::NAMES, " from things order by id, number"));
    all.fetch_all(connection).await.unwrap()
}

async fn copied(connection: &mut PgConnection, things: &[Thing]) {
    sqlx::raw_sql("truncate things").execute(&mut *connection).await.unwrap();
    for rows in rows_of(things).into_tables() {
        assert_eq!(rows.len(), things.len());
        rows.copy(connection).await.unwrap();
    }
}

#[test]
fn rows_come_out_of_the_table_as_they_went_in() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = runtime.block_on(Cluster::temporary()).unwrap();
    let mut connection = runtime.block_on(PgConnection::connect(&cluster.url())).unwrap();
    runtime.block_on(sqlx::raw_sql(THINGS).execute(&mut connection)).unwrap();
    let mut runner = TestRunner::new(Config { cases: 150, ..Config::default() });
    let connection = std::cell::RefCell::new(connection);
    let outcome = runner.run(&(things(), things()), |(before, mut now)| {
        let mut connection = connection.borrow_mut();
        // What is written once does not change.
        for thing in &mut now {
            let same = before.iter().find(|it| (it.id, it.number) == (thing.id, thing.number));
            same.inspect(|same| thing.origin.clone_from(&same.origin));
        }
        runtime.block_on(async {
            copied(&mut connection, &before).await;
            prop_assert_eq!(&stored(&mut connection).await, &before);
            rows_of(&before).replace_with(&rows_of(&now), &mut connection).await.unwrap();
            prop_assert_eq!(&stored(&mut connection).await, &now);
            Ok(())
        })
    });
    outcome.unwrap();
    runtime.block_on(cluster.stop()).unwrap();
}

fn one(number: i32, large: i64) -> Thing {
    Thing {
        id: Uuid::nil(),
        number,
        name: None,
        origin: String::new(),
        tags: vec!["a \"b\"".to_owned()],
        notes: Json(vec![]),
        small: None,
        large,
        good: true,
        at: DateTime::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn many_new_rows_come_out_as_they_went_in_and_none_comes_twice() {
    let cluster = Cluster::temporary().await.unwrap();
    let mut connection = PgConnection::connect(&cluster.url()).await.unwrap();
    sqlx::raw_sql(THINGS).execute(&mut connection).await.unwrap();
    let many = i32::try_from(MANY).unwrap();
    let before: Vec<Thing> = (0..10).map(|number| one(number, 1)).collect();
    let now: Vec<Thing> = (5..5 + 2 * many).map(|number| one(number, 2)).collect();
    copied(&mut connection, &before).await;
    rows_of(&before).replace_with(&rows_of(&now), &mut connection).await.unwrap();
    assert_eq!(stored(&mut connection).await, now);

    let again = Rows::default().replace_with(&rows_of(&now), &mut connection).await;
    let error = again.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23505", "{error}");
    assert_eq!(stored(&mut connection).await, now);
    drop(connection);
    cluster.stop().await.unwrap();
}

#[test]
fn only_what_differs_is_written() {
    let (before, now) =
        (rows_of(&[one(1, 1), one(2, 1), one(3, 1)]), rows_of(&[one(1, 1), one(2, 2), one(4, 1)]));
    let difference = Difference::of(before.tables.first(), now.tables.first());
    let numbers = |rows: &[&[u8]]| -> Vec<u8> { rows.iter().map(|row| key(row, 2)[27]).collect() };
    assert_eq!(numbers(&difference.new), [4]);
    assert_eq!(numbers(&difference.changed), [2]);
    assert_eq!(numbers(&difference.gone), [3]);
}

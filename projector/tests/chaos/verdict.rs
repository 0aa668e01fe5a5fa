//! What has to hold once everybody is alive again and nothing happens any more.

use std::time::Duration;

use journal::Position;
use projector::{
    ProjectionName, Projector, PromoteOptions, Sample, VerifyOptions, promote, rebuild_stream,
    verify,
};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{sleep, timeout};

use crate::errand::{STUCK_AT, spoilt};
use crate::history::order_stream;
use crate::role;
use crate::world::{DEADLINE, World};

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The end of the log.
pub(crate) async fn head(world: &World) -> Position {
    let asking = async {
        loop {
            if let Ok(head) = world.journal.head().await {
                return head;
            }
        }
    };
    timeout(DEADLINE, asking).await.unwrap()
}

fn signed(position: Position) -> (i64, i64) {
    (position.commit.try_into().unwrap(), position.prepare.try_into().unwrap())
}

/// Asks until the answer is empty. Meanwhile the database may be recovering.
async fn until_empty(what: &str, mut ask: impl AsyncFnMut() -> sqlx::Result<Vec<String>>) {
    let mut last = Ok(vec![]);
    let asking = async {
        loop {
            last = ask().await;
            if last.as_ref().is_ok_and(Vec::is_empty) {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    let waited = timeout(DEADLINE, asking).await;
    assert!(waited.is_ok(), "{what}: still {last:#?}");
}

/// Waits until what readers see is as far as `head`.
pub(crate) async fn live_is_at(url: &str, head: Position) {
    const BEHIND: &str = "select p.name from orderstore.projections p \
         join orderstore.checkpoints c on c.projection = p.name and c.generation = p.generation \
         where p.state = 'live' and (c.commit_position, c.prepare_position) < ($1, $2)";
    let (commit, prepare) = signed(head);
    until_empty("behind", async || {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query_scalar(BEHIND).bind(commit).bind(prepare).fetch_all(&mut connection).await
    })
    .await;
}

/// How many generations there have been.
pub(crate) async fn promotions(url: &str) -> u64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let count = "select count(*) from orderstore.projections where state in ('live', 'previous', 'dropped')";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
    count.unsigned_abs()
}

/// What is left to do, or was left behind; `alive` are the projectors.
const UNSETTLED: &str = "
    select name || ' ' || generation || ' is ' || state from orderstore.projections
        where state in ('building', 'retired')
    union all select name || ' is not live' from orderstore.projections
        group by name having count(*) filter (where state = 'live') <> 1
    union all select 'build ' || id || ' is at ' || phase || coalesce(': ' || error, '')
        from orderstore.builds where phase not in ('done', 'given-up', 'ready')
    union all select 'the schema ' || nspname || ' is left over' from pg_namespace
        where nspname !~ '^pg_'
        and nspname not in ('public', 'information_schema', 'orderstore', 'read_model')
        and nspname not in (select name || '_g' || generation from orderstore.projections
            where state in ('live', 'previous'))
    union all select 'the checkpoint ' || c.projection || ' ' || c.generation || ' is left over'
        from orderstore.checkpoints c where not exists (select from orderstore.projections p
            where p.name = c.projection and p.generation = c.generation
            and p.state in ('live', 'previous'))
    union all select p.state || ' ' || p.name || ' ' || p.generation || '/' || c.slice || ' is at '
            || c.commit_position || ' of ' || $1 || ', caught up: ' || c.caught_up || ', held by '
            || coalesce(c.holder::text, 'nobody')
        from orderstore.projections p join orderstore.checkpoints c
        on c.projection = p.name and c.generation = p.generation
        where p.state in ('live', 'previous') and (not c.caught_up
            or (c.commit_position, c.prepare_position) < ($1, $2)
            or not exists (select from orderstore.workers w
                where w.holder = c.holder and w.pid = any($3)))
    union all select w.pid || ' is dead' from orderstore.workers w where w.pid <> all($3)";

/// Whoever is dead has been so for a long time.
const LONG_AGO: &str = "update orderstore.workers set seen_at = seen_at - interval '2 hours' \
     where pid <> all($1) and seen_at > clock_timestamp() - interval '1 hour'";

/// Waits until nothing is left to do.
async fn settled(world: &World, url: &str, alive: &[i64]) {
    let (commit, prepare) = signed(head(world).await);
    until_empty("not settled", async || {
        let mut connection = PgConnection::connect(url).await?;
        promote_what_waits(world, url, &mut connection).await?;
        let left = sqlx::query_scalar(UNSETTLED).bind(commit).bind(prepare).bind(alive);
        let mut left: Vec<String> = left.fetch_all(&mut connection).await?;
        let files = std::fs::read_dir(world.temporary()).unwrap();
        left.extend(files.map(|file| format!("{} is left over", file.unwrap().path().display())));
        connection.close().await?;
        Ok(left)
    })
    .await;
}

/// Promotes generations that wait for somebody to do so.
async fn promote_what_waits(
    world: &World,
    url: &str,
    connection: &mut PgConnection,
) -> sqlx::Result<()> {
    const READY: &str = "select p.name from orderstore.builds b \
         join orderstore.build_generations g on g.build = b.id \
         join orderstore.projections p on p.name = g.projection and p.generation = g.generation \
         where b.phase = 'ready' and p.state = 'building'";
    let ready: Vec<String> = sqlx::query_scalar(READY).fetch_all(connection).await?;
    for name in ready {
        // Nothing may differ. If somebody is not ready yet, it is tried again.
        let options = PromoteOptions { max_differing: Some(0) };
        let promoted = promote(url, &world.journal, name.parse().unwrap(), options).await;
        if let Err(projector::Error::TooDifferent { comparison, .. }) = promoted {
            panic!("{name} is not what it was: {comparison}");
        }
    }
    Ok(())
}

/// Ends what somebody has begun and only somebody can end.
async fn clean_up(world: &World, url: &str, alive: &[i64]) {
    until_empty("what is left to people", async || {
        if let Err(error) = projector::resume(url, &[]).await {
            return Ok(vec![error.to_string()]);
        }
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query(LONG_AGO).bind(alive).execute(&mut connection).await?;
        connection.close().await?;
        // It may not have happened yet.
        match rebuild_stream(url, world.journal.clone(), &spoilt()).await {
            Ok(_) => Ok(vec![]),
            Err(error) => Ok(vec![error.to_string()]),
        }
    })
    .await;
}

/// Panics unless every table of every generation is what an undisturbed worker makes of the log.
pub(crate) async fn pass(world: &World, url: &str, alive: &[i64]) {
    clean_up(world, url, alive).await;
    settled(world, url, alive).await;
    nothing_was_missing(world, url).await;
    let skipped = skipped(url).await;
    let expected = undisturbed(world, url, &skipped).await;
    let of = |name: &str| &expected.iter().find(|(other, _)| other == name).unwrap().1;
    assert_same("what readers see", &views(url).await, of("views"));
    for (name, number) in generations(url).await {
        let found = dump(url, &name, number).await;
        assert_same(&format!("{name} {number}"), &found, of(&name));
    }
    let options = VerifyOptions { sample: Sample::All, ..VerifyOptions::default() };
    let verified = verify(url, world.journal.clone(), &ProjectionName::ALL, options).await.unwrap();
    for one in verified {
        assert!(one.is_clean(), "{one}");
    }
}

fn assert_same(what: &str, found: &[String], expected: &[String]) {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|row| !other.contains(row)).take(5).cloned().collect()
    };
    if found != expected {
        let (more, fewer) = (only(found, expected), only(expected, found));
        panic!(
            "{what} is not a fold of its streams: {} rows, not {}; it has {more:#?} instead of {fewer:#?}",
            found.len(),
            expected.len()
        );
    }
}

/// Nothing was ever skipped on the way from the log, and no stream waits but those with poison.
async fn nothing_was_missing(world: &World, url: &str) {
    const HEALED: &str = "select coalesce(sum(gaps_healed), 0)::bigint from orderstore.checkpoints";
    const WAITING: &str = "select distinct stream, revision from orderstore.quarantine q \
         join orderstore.projections p on p.name = q.projection and p.generation = q.generation \
         where p.state in ('live', 'previous')";
    let mut connection = PgConnection::connect(url).await.unwrap();
    let healed: i64 = sqlx::query_scalar(HEALED).fetch_one(&mut connection).await.unwrap();
    assert_eq!(healed, 0, "events were missing");
    let waiting: Vec<(String, i64)> =
        sqlx::query_as(WAITING).fetch_all(&mut connection).await.unwrap();
    let poisoned: Vec<String> =
        world.stuck().into_iter().map(|number| order_stream(number).to_string()).collect();
    for (stream, revision) in waiting {
        assert!(poisoned.contains(&stream), "{stream} waits at {revision}");
        assert_eq!(revision.unsigned_abs(), STUCK_AT, "{stream}");
    }
}

type Skipped = (String, String, i64, String, String);

async fn skipped(url: &str) -> Vec<Skipped> {
    let skipped = "select projection, stream, revision, actor, reason from orderstore.skipped";
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_as(skipped).fetch_all(&mut connection).await.unwrap()
}

/// Live and previous generations.
async fn generations(url: &str) -> Vec<(String, i64)> {
    const GENERATIONS: &str = "select name, generation from orderstore.projections \
         where state in ('live', 'previous') order by 1, 2";
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_as(GENERATIONS).fetch_all(&mut connection).await.unwrap()
}

/// What a single projector, with nobody to disturb it, makes of the log in another database.
async fn undisturbed(world: &World, url: &str, skipped: &[Skipped]) -> Vec<(String, Vec<String>)> {
    let mut beside = PgConnection::connect(url).await.unwrap();
    for statement in
        ["drop database if exists undisturbed with (force)", "create database undisturbed"]
    {
        sqlx::raw_sql(statement).execute(&mut beside).await.unwrap();
    }
    let url = url.replacen("/orderstore?", "/undisturbed?", 1);
    projector::migrate(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for (projection, stream, revision, actor, reason) in skipped {
        let skip = "insert into orderstore.skipped (projection, stream, revision, actor, reason) \
             values ($1, $2, $3, $4, $5)";
        let skip = sqlx::query(skip).bind(projection).bind(stream).bind(revision);
        skip.bind(actor).bind(reason).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let head = head(world).await;
    let options = projector::Options { slices: 1, batch: 1_000, ..role::options("undisturbed") };
    let projector = Projector::start(&url, world.journal.clone(), options).unwrap();
    for name in ProjectionName::ALL {
        let mut status = projector.watch(name);
        let at_the_end = status.wait_for(|status| status.position >= head && status.caught_up);
        timeout(DEADLINE, at_the_end).await.unwrap().unwrap();
    }
    projector.stop().await;
    let mut all = vec![("views".to_owned(), views(&url).await)];
    for (name, number) in generations(&url).await {
        let rows = dump(&url, &name, number).await;
        all.push((name, rows));
    }
    let drop = "drop database undisturbed with (force)";
    sqlx::raw_sql(drop).execute(&mut beside).await.unwrap();
    beside.close().await.unwrap();
    all
}

/// What readers see of all projections, as text.
async fn views(url: &str) -> Vec<String> {
    const VIEWS: &str = "select viewname || ' ' || definition from pg_views \
         where schemaname = 'read_model' order by 1";
    const LIVE: &str = "select name || '_g' || generation from orderstore.projections \
         where state = 'live'";
    let mut connection = PgConnection::connect(url).await.unwrap();
    let live: Vec<String> = sqlx::query_scalar(LIVE).fetch_all(&mut connection).await.unwrap();
    let views: Vec<String> = sqlx::query_scalar(VIEWS).fetch_all(&mut connection).await.unwrap();
    let of_live = |view: String| {
        live.iter().fold(view, |view, schema| view.replace(&format!("{schema}."), "live."))
    };
    views.into_iter().map(of_live).collect()
}

/// Everything that is in the schema of a generation, and its quarantine, as text.
async fn dump(url: &str, name: &str, number: i64) -> Vec<String> {
    const TABLES: &str = "select relname::text from pg_class \
         where relnamespace = $1::regnamespace and relkind = 'r' order by 1";
    const SHAPE: &str = "select 'column ' || c.relname || '.' || a.attname || ' ' \
             || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || c.relpersistence::text \
         from pg_class c join pg_attribute a on a.attrelid = c.oid \
         where c.relnamespace = $1::regnamespace and c.relkind = 'r' and a.attnum > 0 \
         union all select 'index ' || replace(pg_get_indexdef(i.indexrelid), $1 || '.', '') \
             || ' ' || i.indisvalid from pg_index i join pg_class c on c.oid = i.indrelid \
         where c.relnamespace = $1::regnamespace \
         union all select 'constraint ' || replace(pg_get_constraintdef(oid), $1 || '.', '') \
         from pg_constraint where connamespace = $1::regnamespace order by 1";
    const QUARANTINE: &str = "select 'quarantine ' || stream || ' ' || revision || ' ' || error \
         from orderstore.quarantine where projection = $1 and generation = $2 order by 1";
    let schema = format!("{name}_g{number}");
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar(TABLES).bind(&schema).fetch_all(&mut connection).await.unwrap();
    let mut dump: Vec<String> =
        sqlx::query_scalar(SHAPE).bind(&schema).fetch_all(&mut connection).await.unwrap();
    for table in tables {
        let rows = format!("select '{table} ' || t::text from {schema}.{table} t order by t::text");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap();
        dump.extend(rows);
    }
    let waiting = sqlx::query_scalar(QUARANTINE).bind(name).bind(number);
    let waiting: Vec<String> = waiting.fetch_all(&mut connection).await.unwrap();
    dump.extend(waiting);
    connection.close().await.unwrap();
    dump
}

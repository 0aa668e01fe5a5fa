//! The processes that run a projector: how they see each other, and what is each one's fair share.
//!
//! Nobody leads. Every process shows a sign of life in `orderstore.workers`, sees who else does,
//! and works out by the same rule how many slices of each generation are its own to hold. Who holds
//! too many gives some back, who holds too few takes free ones. Who may write is decided elsewhere:
//! however wrong a process is about the others, the fence of each slice lets one of them write.

use std::time::Duration;

use const_format::concatcp;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::bookkeeping::{FLEET, GenerationId};
use crate::failure::Failure;
use crate::slice::Slice;
use crate::worker::Context;
use crate::{Options, ProjectionName};

/// A process that is alive.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub(crate) struct Node {
    pub(crate) holder: Uuid,
    /// What it can work on.
    serves: Vec<String>,
}

/// A slice of a generation that this build can work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) generation: GenerationId,
    pub(crate) version: i32,
    pub(crate) slice: Slice,
    /// Whether nobody who is alive holds it.
    pub(crate) free: bool,
}

/// Whether somebody who is alive holds the slice of checkpoint `c`: a killed process leaves its name
/// behind, but neither a session nor signs of life. $1 is `take_over_after` in seconds.
pub(crate) const IS_HELD: &str = "(c.holder is not null \
     and c.updated_at >= clock_timestamp() - make_interval(secs => $1) \
     and (c.session is null \
         or exists (select from pg_stat_activity a where a.pid = c.session)))";

/// Whether somebody who is alive works on the slice of checkpoint `c`: what is being filled in bulk is
/// worked on by whoever carries out the build. $1 is `take_over_after` in seconds.
pub(crate) const IS_WORKED_ON: &str = concatcp!(
    "coalesce((select b.holder is not null \
     and b.updated_at >= clock_timestamp() - make_interval(secs => $1) \
     from orderstore.build_generations g join orderstore.builds b on b.id = g.build \
     where g.projection = c.projection and g.generation = c.generation and not g.filled), ",
    IS_HELD,
    ")"
);

/// Whether somebody who is alive works on all slices of `generation`.
pub(crate) async fn is_fed(
    connection: &mut PgConnection,
    generation: GenerationId,
    take_over_after: Duration,
) -> sqlx::Result<bool> {
    const IS_FED: &str = concatcp!(
        "select coalesce(bool_and(",
        IS_HELD,
        "), false) from orderstore.checkpoints c where c.projection = $2 and c.generation = $3"
    );
    sqlx::query_scalar(IS_FED)
        .bind(take_over_after.as_secs_f64())
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch_one(connection)
        .await
}

fn served(projection: ProjectionName, version: i32) -> String {
    format!("{projection}@{version}")
}

/// What a process with these options can work on.
fn serves(options: &Options) -> Vec<String> {
    ProjectionName::ALL.map(|name| served(name, options.version_of(name))).into()
}

/// Shows that this process is alive. Everybody who is, ourselves included, oldest first.
pub(crate) async fn show_up(
    connection: &mut PgConnection,
    context: &Context,
) -> Result<Vec<Node>, Failure> {
    // Nobody is told of a sign of life, but everybody of a new face.
    const SHOW: &str = "with shown as (insert into orderstore.workers \
         (holder, name, pid, serves, session) values ($1, $2, $3, $4, pg_backend_pid()) \
         on conflict (holder) do update set seen_at = clock_timestamp(), \
         session = excluded.session returning (xmax = 0) as is_new) \
         select case when is_new then pg_notify($5, '')::text end from shown";
    const ALIVE: &str = "select holder, serves from orderstore.workers w \
         where seen_at >= clock_timestamp() - make_interval(secs => $1) \
         and exists (select from pg_stat_activity a where a.pid = w.session) \
         order by started_at, holder";
    const FORGET: &str =
        "delete from orderstore.workers where seen_at < clock_timestamp() - interval '1 hour'";
    let options = &context.options;
    sqlx::query(SHOW)
        .bind(context.holder)
        .bind(options.name())
        .bind(i64::from(std::process::id()))
        .bind(serves(options))
        .bind(FLEET)
        .execute(&mut *connection)
        .await?;
    sqlx::query(FORGET).execute(&mut *connection).await?;
    let alive = sqlx::query_as(ALIVE).bind(options.take_over_after.as_secs_f64());
    Ok(alive.fetch_all(connection).await?)
}

/// Says goodbye, so that the others need not wait.
pub(crate) async fn leave(connection: &mut PgConnection, holder: Uuid) -> sqlx::Result<()> {
    const LEAVE: &str = "with gone as (delete from orderstore.workers where holder = $1 \
         returning true) select pg_notify($2, '') from gone";
    sqlx::query(LEAVE).bind(holder).bind(FLEET).execute(connection).await.map(drop)
}

/// The slices of all generations that this build can work on; of those that nobody sees yet only the
/// ones `to_fold`, and those that somebody has begun to.
pub(crate) async fn posts(
    connection: &mut PgConnection,
    context: &Context,
    to_fold: &[GenerationId],
) -> Result<Vec<Post>, Failure> {
    // What a bulk build fills is like any other generation once it is filled.
    const POSTS: &str = concatcp!(
        "select p.name, p.generation, p.version, c.slice, p.slices, not ",
        IS_HELD,
        " as free \
         from orderstore.projections p join orderstore.checkpoints c \
         on c.projection = p.name and c.generation = p.generation \
         where p.state in ('live', 'previous') and (p.opened \
             or (p.name, p.generation) in (select * from unnest($2::text[], $3::bigint[])) \
             or exists (select from orderstore.checkpoints begun \
                 where begun.projection = p.name and begun.generation = p.generation \
                 and begun.epoch > 0)) \
         or p.state = 'building' and exists (select from orderstore.build_generations b \
             where b.projection = p.name and b.generation = p.generation and b.filled) \
         order by p.name, p.generation, c.slice"
    );
    let (names, numbers): (Vec<_>, Vec<_>) =
        to_fold.iter().map(|it| (it.projection.as_str(), it.number)).unzip();
    let rows: Vec<(String, i64, i32, i16, i16, bool)> = sqlx::query_as(POSTS)
        .bind(context.options.take_over_after.as_secs_f64())
        .bind(names)
        .bind(numbers)
        .fetch_all(connection)
        .await?;
    let post = |(name, number, version, slice, of, free): (String, i64, i32, i16, i16, bool)| {
        let projection: ProjectionName = name.parse().ok()?;
        let slice = Slice { number: slice.unsigned_abs(), of: of.unsigned_abs().max(1) };
        let ours = context.options.version_of(projection) == version;
        let generation = GenerationId { projection, number };
        ours.then_some(Post { generation, version, slice, free })
    };
    Ok(rows.into_iter().filter_map(post).collect())
}

/// How many of `slices` slices of a generation are `holder`'s fair share, among all `nodes` that
/// can work on it. The shares of all of them add up to all slices.
pub(crate) fn share(
    nodes: &[Node],
    holder: Uuid,
    projection: ProjectionName,
    version: i32,
    slices: u16,
) -> u16 {
    let able = served(projection, version);
    let able: Vec<_> = nodes.iter().filter(|node| node.serves.contains(&able)).collect();
    let Some(rank) = able.iter().position(|node| node.holder == holder) else { return 0 };
    let (all, slices) = (able.len(), usize::from(slices));
    // Those that are left over go to somebody else for every projection.
    let offset = ProjectionName::ALL.iter().position(|name| *name == projection).unwrap_or(0);
    let share = slices / all + usize::from((rank + offset) % all < slices % all);
    u16::try_from(share).unwrap_or(u16::MAX)
}

/// So long nobody gives back what they took because nobody else did.
pub(crate) const fn generosity(options: &Options) -> Duration {
    options.take_over_after.saturating_mul(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: u128) -> Vec<Node> {
        let serves = serves(&Options::default());
        (0..count).map(|n| Node { holder: Uuid::from_u128(n), serves: serves.clone() }).collect()
    }

    fn version(name: ProjectionName) -> i32 {
        Options::default().version_of(name)
    }

    #[test]
    fn shares_differ_by_one_at_most_and_add_up_to_everything() {
        for count in 1..=9 {
            let nodes = nodes(count);
            for slices in [1, 2, 4, 7, 64] {
                for name in ProjectionName::ALL {
                    let of = |node: &Node| share(&nodes, node.holder, name, version(name), slices);
                    let shares: Vec<u16> = nodes.iter().map(of).collect();
                    assert_eq!(shares.iter().sum::<u16>(), slices, "{shares:?}");
                    let (least, most) = (shares.iter().min(), shares.iter().max());
                    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
                }
            }
        }
    }

    #[test]
    fn projections_of_one_slice_are_spread_over_the_processes() {
        let nodes = nodes(3);
        for node in &nodes {
            let of = |name| share(&nodes, node.holder, name, version(name), 1);
            assert_eq!(ProjectionName::ALL.map(of).iter().sum::<u16>(), 2);
        }
    }

    #[test]
    fn who_has_another_version_has_no_share() {
        let mut nodes = nodes(2);
        let name = ProjectionName::Orders;
        nodes[1].serves = serves(&Options { versions_ahead: 1, ..Options::default() });
        assert_eq!(share(&nodes, nodes[0].holder, name, version(name), 4), 4);
        assert_eq!(share(&nodes, nodes[1].holder, name, version(name), 4), 0);
        assert_eq!(share(&nodes, nodes[1].holder, name, version(name) + 1, 4), 4);
        assert_eq!(share(&nodes, Uuid::from_u128(9), name, version(name), 4), 0);
    }
}

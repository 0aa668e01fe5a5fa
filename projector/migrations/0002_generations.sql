-- Slices, leases and the lives of generations.

-- What was live until a promotion is `previous`: kept up to date, so that a rollback is instant.
alter table orderstore.projections drop constraint projections_state_check;
alter table orderstore.projections add constraint projections_state_check
    check (state in ('building', 'live', 'previous', 'retired', 'dropped'));
create unique index projections_one_previous on orderstore.projections (name) where state = 'previous';

alter table orderstore.projections
    -- Its streams are dealt out to so many slices, by the hash of their names. Never changes once
    -- somebody has written.
    add column slices smallint not null default 1 check (slices > 0),
    -- Points the readers' views at it. Another version may have others.
    add column views text,
    -- Somebody has rolled it back: no build promotes this version again by itself.
    add column rolled_back boolean not null default false;

alter table orderstore.checkpoints
    -- Whether its generation is live: readers are told of every step.
    add column live boolean not null default false,
    -- The session that the holder writes with. Once that is gone, so is the holder.
    add column session integer,
    -- Since when the holder holds it.
    add column held_since timestamptz,
    -- How often somebody else has written rows of this slice or changed its quarantine.
    add column interventions bigint not null default 0,
    -- What has happened to it since it was created.
    add column events_applied bigint not null default 0,
    add column duplicates_dropped bigint not null default 0,
    add column gaps_healed bigint not null default 0,
    add column streams_quarantined bigint not null default 0;
update orderstore.checkpoints c set live = true from orderstore.projections p
    where p.name = c.projection and p.generation = c.generation and p.state = 'live';

-- The processes that run a projector, so that each takes its fair share of the slices.
create table orderstore.workers (
    holder uuid primary key,
    -- What people call it, and where it runs.
    name text not null,
    pid bigint not null,
    -- What it can work on: name and version of projections, such as orders@3.
    serves text[] not null,
    -- The session that it shows its signs of life with.
    session integer not null,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp()
)
with (fillfactor = 20);

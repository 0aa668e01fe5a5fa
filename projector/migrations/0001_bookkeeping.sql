-- What projectors keep about their own work. Rows of read models are not here: every generation of
-- a projection has a schema of its own, such as orders_g3, and readers see it through views in
-- the schema read_model.

create schema if not exists read_model;

-- The generations of every projection. Those that were dropped stay listed, so that no number is
-- ever used twice.
create table orderstore.projections (
    name text not null,
    generation bigint not null check (generation > 0),
    -- Version of fold and tables that it is built with.
    version integer not null,
    state text not null check (state in ('building', 'live', 'retired', 'dropped')),
    since timestamptz not null default now(),
    primary key (name, generation)
);
create unique index projections_one_live on orderstore.projections (name) where state = 'live';
create unique index projections_one_building on orderstore.projections (name) where state = 'building';

-- How far each generation is. Written in the transaction that writes the rows.
create table orderstore.checkpoints (
    projection text not null,
    generation bigint not null,
    slice smallint not null default 0,
    -- Raised by whoever takes over; whoever has an older one may not write any more.
    epoch bigint not null default 0,
    -- Who holds the epoch; nobody after a clean stop.
    holder uuid,
    commit_position bigint not null default 0,
    prepare_position bigint not null default 0,
    -- Whether the holder had nothing left to do when it last wrote.
    caught_up boolean not null default false,
    -- When the holder last showed a sign of life.
    updated_at timestamptz not null default now(),
    primary key (projection, generation, slice),
    foreign key (projection, generation) references orderstore.projections (name, generation)
)
-- Updated all the time: leave room on the page, so that no index has to change.
with (fillfactor = 20);

-- Streams that a generation does not follow any more because of an event it cannot fold.
create table orderstore.quarantine (
    projection text not null,
    generation bigint not null,
    stream text collate "C" not null,
    -- The event that could not be folded.
    revision bigint not null,
    error text not null,
    since timestamptz not null default now(),
    primary key (projection, generation, stream),
    foreign key (projection, generation) references orderstore.projections (name, generation)
);

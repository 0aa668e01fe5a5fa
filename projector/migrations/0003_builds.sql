-- Bulk builds: one run fills new generations of some projections in one pass over the log.

create table orderstore.builds (
    id bigint generated always as identity primary key,
    phase text not null default 'scan' check (phase in
        ('scan', 'fold', 'finish', 'catch-up', 'ready', 'done', 'given-up')),
    -- Raised by whoever takes over; whoever has an older one may not write any more.
    epoch bigint not null default 1,
    -- Who holds the epoch; nobody after a clean stop.
    holder uuid,
    -- When the holder last showed a sign of life.
    updated_at timestamptz not null default clock_timestamp(),
    paused boolean not null default false,
    -- What is to be done with the generations once they are filled.
    promote boolean not null,
    -- So many rows may differ from the live generation's; any number if null.
    threshold bigint,
    -- Streams are dealt out to so many partitions, by the hash of their names.
    partitions integer not null check (partitions > 0),
    -- How far the log has been scanned, and where the scan ended: what is in the rows.
    commit_position bigint not null default 0,
    prepare_position bigint not null default 0,
    end_commit_position bigint,
    end_prepare_position bigint,
    -- What it came to, for whoever plans the next one.
    events bigint not null default 0,
    event_bytes bigint not null default 0,
    spilled_bytes bigint not null default 0,
    rows bigint not null default 0,
    row_bytes bigint not null default 0,
    scan_ms bigint not null default 0,
    fold_ms bigint not null default 0,
    finish_ms bigint not null default 0,
    catch_up_ms bigint not null default 0,
    peak_rss_bytes bigint not null default 0,
    error text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
)
-- Updated all the time: leave room on the page, so that no index has to change.
with (fillfactor = 20);

-- The generations that a run fills.
create table orderstore.build_generations (
    projection text not null,
    generation bigint not null,
    build bigint not null references orderstore.builds (id),
    -- Whether all rows, keys and indexes are there: from then on it is like any other generation.
    filled boolean not null default false,
    events bigint not null default 0,
    rows bigint not null default 0,
    row_bytes bigint not null default 0,
    primary key (projection, generation),
    foreign key (projection, generation) references orderstore.projections (name, generation)
);
create index build_generations_build on orderstore.build_generations (build);

-- What is remembered of quarantined streams, and of events that somebody has decided to pass over.

alter table orderstore.quarantine
    -- Type of the event that could not be folded; null when it could not even be read.
    add column event_type text,
    -- The build that tried last. A build that has not tried yet does so when it starts.
    add column build text;

-- Events that every generation of a projection passes over, as if they had changed nothing. Not
-- tied to a generation: one that is built later must come to the same rows.
create table orderstore.skipped (
    projection text not null,
    stream text collate "C" not null,
    revision bigint not null check (revision >= 0),
    -- Who decided it, and why.
    actor text not null check (actor <> ''),
    reason text not null check (reason <> ''),
    at timestamptz not null default now(),
    primary key (projection, stream, revision)
);

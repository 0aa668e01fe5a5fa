-- Whether readers may see a generation: how it compared with the one that they saw, and what kept it
-- from becoming live.

create table orderstore.verdicts (
    projection text not null,
    generation bigint not null,
    -- The last comparison, with the generation that was live then; null if there was none.
    compared_with bigint,
    compared_at timestamptz,
    rows bigint,
    differing bigint,
    -- Streams that never stood at the same event on both sides.
    not_compared bigint,
    -- Why it waits although it is built; null if nothing is in the way.
    refusal text,
    refused_at timestamptz,
    primary key (projection, generation),
    foreign key (projection, generation) references orderstore.projections (name, generation),
    check (num_nulls(compared_with, compared_at, rows, differing, not_compared) in (0, 5)),
    check (num_nulls(refusal, refused_at) in (0, 2))
);

-- What came of verifying a projection the last time.

create table orderstore.verifications (
    projection text primary key,
    generation bigint not null,
    at timestamptz not null default clock_timestamp(),
    -- How much of its streams was to be looked at.
    share double precision not null check (share between 0 and 1),
    streams bigint not null,
    -- Streams whose rows were not what their events make them …
    drifted bigint not null,
    -- … and how many of them have been folded again since.
    healed bigint not null,
    -- Rows of sums that were wrong; null if nobody looked.
    sums_differing bigint
);

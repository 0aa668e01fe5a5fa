-- What came of verifying a projection the last time: as a whole, and since then by samples.

create table orderstore.verifications (
    projection text not null,
    -- Whether everything was looked at. That settles what samples have found before.
    whole boolean not null,
    generation bigint not null,
    at timestamptz not null default clock_timestamp(),
    -- How much of its streams was to be looked at.
    share double precision not null check (share between 0 and 1),
    streams bigint not null,
    -- Streams whose rows were not what their events make them; of a sample, those that earlier ones
    -- have found and nobody has healed are not forgotten …
    drifted bigint not null,
    -- … and how many of them have been folded again since.
    healed bigint not null,
    -- Rows of sums that are wrong; null if nobody looked.
    sums_differing bigint,
    primary key (projection, whole)
);

-- Indexes that only readers need are made last.

-- Whether a generation has them: readers must not see it before. Builds that do not know of this make
-- them together with the keys.
alter table orderstore.projections add column indexed boolean not null default true;

-- The first generation of a projection is not seen by readers before it is complete.

-- Whether readers may see it. Builds that do not know of this create generations that are open.
alter table orderstore.projections add column opened boolean not null default true;

-- What the views of a generation that is not open yet ask before anything else. Stable, so that
-- it is asked even where there are no rows.
create function orderstore.is_complete(view text) returns boolean language plpgsql stable as $$
begin
    raise undefined_table using
        message = format('%s is being built for the first time', view),
        hint = '`orderstore projections status` shows how far it is.';
end
$$;

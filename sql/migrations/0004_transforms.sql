-- Code that makes datasets of other datasets, and what came of running it. Times are microseconds, as everywhere.

create table transforms (
    id text not null primary key,
    owner_id text not null,
    created_at integer not null,
    -- 1 when the clock or a new version of an input may start it.
    live integer not null check (live in (0, 1)),
    revision integer not null check (revision > 0),
    doc text not null
) strict;

create index transforms_by_age on transforms (created_at desc, id desc);

create index transforms_by_owner on transforms (owner_id, created_at desc, id desc);

create index transforms_live on transforms (id) where live = 1;

-- Who reads a dataset: each input of a transform once, written with it.
create table transform_inputs (
    dataset_id text not null,
    transform_id text not null references transforms (id) on delete cascade,
    primary key (dataset_id, transform_id)
) strict, without rowid;

create index transform_inputs_by_transform on transform_inputs (transform_id);

-- They outlive their transform, so they do not refer to it.
create table executions (
    id text not null primary key,
    transform_id text not null,
    started_at integer not null,
    -- The due time that it is the execution of, and whether the clock asked for it: not so one of a backfill.
    scheduled_at integer,
    due integer not null check (due in (0, 1)),
    running integer not null check (running in (0, 1)),
    revision integer not null check (revision > 0),
    doc text not null,
    unique (transform_id, started_at)
) strict;

-- One that runs, for each transform.
create unique index executions_running on executions (transform_id) where running = 1;

-- One for each due time, whatever came of it.
create unique index executions_by_due_time on executions (transform_id, scheduled_at)
where scheduled_at is not null;

create index executions_due on executions (transform_id, scheduled_at) where due = 1;

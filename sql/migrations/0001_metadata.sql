-- Everything the service remembers. Columns are what indexes and conditions need; `doc` is the whole
-- record as JSON. Times are microseconds since 1970-01-01 UTC.

create table users (
    id text not null primary key,
    email text not null unique,
    -- 1 for an administrator who can sign in: the service must never lose the last one.
    enabled_admin integer not null check (enabled_admin in (0, 1)),
    revision integer not null check (revision > 0),
    doc text not null
) strict;

create index users_by_enabled_admin on users (email) where enabled_admin = 1;

create table revoked_tokens (
    jti text not null primary key,
    expires_at integer not null
) strict, without rowid;

create index revoked_tokens_by_expiry on revoked_tokens (expires_at);

create table api_keys (
    id text not null primary key,
    user_id text not null,
    created_at integer not null,
    doc text not null
) strict;

create index api_keys_by_user on api_keys (user_id, created_at desc, id desc);

create table datasets (
    id text not null primary key,
    name_key text not null unique,
    owner_id text not null,
    created_at integer not null,
    -- The number of the version that readers get.
    current_number integer not null,
    revision integer not null check (revision > 0),
    doc text not null
) strict;

create index datasets_by_age on datasets (created_at desc, id desc);

create index datasets_by_owner on datasets (owner_id, created_at desc, id desc);

create table versions (
    dataset_id text not null references datasets (id),
    number integer not null,
    label text not null,
    doc text not null,
    primary key (dataset_id, number)
) strict, without rowid;

create table expired_versions (
    dataset_id text not null,
    label text not null,
    expired_at integer not null,
    primary key (dataset_id, label)
) strict, without rowid;

create index expired_versions_by_age on expired_versions (expired_at, dataset_id, label);

-- Commits that happened. A writer that lost the answer looks its commit up here.
create table commits (
    id text not null primary key
) strict, without rowid;

create table audit_records (
    id text not null primary key,
    timestamp integer not null,
    doc text not null
) strict;

create index audit_records_by_age on audit_records (timestamp desc, id desc);

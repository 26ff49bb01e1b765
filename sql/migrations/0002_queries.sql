-- Queries that have ended. `asked_at` is what lists go by; the newest are kept.

create table queries (
    id text not null primary key,
    user_id text not null,
    asked_at integer not null,
    doc text not null
) strict;

create index queries_by_age on queries (asked_at desc, id desc);

create index queries_by_user on queries (user_id, asked_at desc, id desc);

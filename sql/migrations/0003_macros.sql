-- Expressions with names. `scope` is the id of the user whose statements may call one, or `shared`: no id looks so.

create table macros (
    id text not null primary key,
    scope text not null,
    name_key text not null,
    revision integer not null check (revision > 0),
    doc text not null,
    unique (scope, name_key)
) strict;

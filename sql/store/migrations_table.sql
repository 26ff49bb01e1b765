create table if not exists migrations (
    number integer not null primary key,
    name text not null
) strict

-- When a commit happened, in seconds: its id is only of use to a writer that lost the answer, and goes after a week.
alter table commits add column at integer not null default 0;

create index commits_by_age on commits (at);

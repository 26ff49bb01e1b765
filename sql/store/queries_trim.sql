delete from queries
where (asked_at, id) <= (
    select asked_at, id
    from queries
    order by asked_at desc, id desc
    limit 1 offset :keep
)

delete from executions
where
    id in (
        select id
        from executions
        where transform_id = :transform_id and running = 0
        order by started_at desc
        limit -1 offset :keep
    )
    and (
        scheduled_at is null
        or scheduled_at <= :since and not (
            due = 1 and scheduled_at = (
                select max(scheduled_at)
                from executions
                where transform_id = :transform_id and due = 1
            )
        )
    )

update executions
set running = :running, revision = :next, doc = :doc
where
    id = :id and revision = :read
    -- What it is one of stays, and what has ended does not run again.
    and transform_id = :transform_id and started_at = :started_at
    and scheduled_at is :scheduled_at and due = :due and running >= :ran

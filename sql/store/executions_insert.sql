insert into executions (id, transform_id, started_at, scheduled_at, due, running, revision, doc)
values (:id, :transform_id, :started_at, :scheduled_at, :due, :running, :next, :doc)

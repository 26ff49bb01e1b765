update transforms
set owner_id = :owner_id, created_at = :created_at, live = :live, revision = :next, doc = :doc
where id = :id and revision = :read

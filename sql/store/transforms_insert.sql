insert into transforms (id, owner_id, created_at, live, revision, doc)
values (:id, :owner_id, :created_at, :live, :next, :doc)

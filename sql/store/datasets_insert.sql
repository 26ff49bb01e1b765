insert into datasets (id, name_key, owner_id, created_at, current_number, revision, doc)
values (:id, :name_key, :owner_id, :created_at, :current_number, :next, :doc)

insert into users (id, email, enabled_admin, revision, doc)
values (:id, :email, :enabled_admin, :next, :doc)

update users
set email = :email, enabled_admin = :enabled_admin, revision = :next, doc = :doc
where id = :id and revision = :read

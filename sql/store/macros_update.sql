update macros
set scope = :scope, name_key = :name_key, revision = :next, doc = :doc
where id = :id and revision = :read

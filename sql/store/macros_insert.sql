insert into macros (id, scope, name_key, revision, doc)
values (:id, :scope, :name_key, :next, :doc)

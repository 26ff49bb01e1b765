update datasets
set
    name_key = :name_key, owner_id = :owner_id, current_number = :current_number,
    revision = :next, doc = :doc
where id = :id and revision = :read and current_number < :current_number

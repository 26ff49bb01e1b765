insert into queries (id, user_id, asked_at, doc)
values (:id, :user_id, :asked_at, :doc)
on conflict (id) do nothing

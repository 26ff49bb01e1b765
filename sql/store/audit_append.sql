insert into audit_records (id, timestamp, doc)
values (:id, :timestamp, :doc)
on conflict (id) do nothing

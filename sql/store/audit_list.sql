select doc, timestamp, id
from audit_records
where (timestamp, id) < (:timestamp, :id)
order by timestamp desc, id desc
limit :limit

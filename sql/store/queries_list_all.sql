select doc, asked_at, id
from queries
where (asked_at, id) < (:asked_at, :id)
order by asked_at desc, id desc
limit :limit

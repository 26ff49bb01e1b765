select doc, asked_at, id
from queries
where user_id = :user_id
  and (asked_at, id) < (:asked_at, :id)
order by asked_at desc, id desc
limit :limit

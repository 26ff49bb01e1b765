select doc, created_at, id
from transforms
where (created_at, id) < (:created_at, :id)
order by created_at desc, id desc
limit :limit

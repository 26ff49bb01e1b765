select doc
from api_keys
where user_id = :user_id
order by created_at desc, id desc
limit :limit

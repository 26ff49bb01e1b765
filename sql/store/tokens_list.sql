select jti, expires_at
from revoked_tokens
where (expires_at, jti) > (:expires_at, :jti)
order by expires_at, jti
limit :limit

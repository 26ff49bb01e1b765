insert into revoked_tokens (jti, expires_at)
values (:jti, :expires_at)
on conflict (jti) do update set expires_at = max(expires_at, excluded.expires_at)

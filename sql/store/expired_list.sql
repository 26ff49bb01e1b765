select dataset_id, label, expired_at
from expired_versions
where
    expired_at < :before
    and (expired_at, dataset_id, label) > (:expired_at, :dataset_id, :label)
order by expired_at, dataset_id, label
limit :limit

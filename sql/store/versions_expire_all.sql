insert into expired_versions (dataset_id, label, expired_at)
select dataset_id, label, :at
from versions
where dataset_id = :id

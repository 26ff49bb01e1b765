insert into expired_versions (dataset_id, label, expired_at)
select versions.dataset_id, versions.label, :at
from versions
join datasets on datasets.id = versions.dataset_id
where
    versions.dataset_id = :id and versions.number = :number
    and datasets.current_number <> versions.number

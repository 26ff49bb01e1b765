select doc, started_at
from executions
where transform_id = :transform_id and started_at < :started_at
order by started_at desc
limit :limit

select doc, transform_id
from executions
where running = 1 and transform_id > :transform_id
order by transform_id
limit :limit

select doc, number
from versions
where dataset_id = :dataset_id and number < :number
order by number desc
limit :limit

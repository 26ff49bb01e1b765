select doc, id
from transforms
where live = 1 and id > :id
order by id
limit :limit

select doc
from macros
where scope = :scope
order by name_key
limit :limit

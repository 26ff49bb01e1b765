select doc
from users
where instr(email, :part) > 0
order by email
limit :limit

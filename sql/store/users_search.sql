select doc
from users
where email > :after and instr(email, :part) > 0
order by email
limit :limit

-- Ranks all lines of every supplier.
select max(place)
from (select rank() over (partition by l_suppkey order by l_comment) as place from lineitem) as ranked

-- Reads all of lineitem four times and finds almost nothing.
select count(*)
from (
    select l_comment, l_shipinstruct from lineitem
    union all select l_comment, l_shipinstruct from lineitem
    union all select l_comment, l_shipinstruct from lineitem
    union all select l_comment, l_shipinstruct from lineitem
) as lines
where l_comment like '%a%e%i%o%u%' and l_shipinstruct like '%q%'

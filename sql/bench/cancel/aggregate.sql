-- About as many groups as rows.
select l_comment, l_orderkey, count(*) as lines
from lineitem
group by l_comment, l_orderkey
order by lines desc, l_comment
limit 1

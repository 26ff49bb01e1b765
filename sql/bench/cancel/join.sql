-- Each line meets the six hundred of its supplier.
select count(*)
from lineitem a join lineitem b on a.l_suppkey = b.l_suppkey and a.l_comment < b.l_comment

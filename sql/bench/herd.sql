-- A scan and an aggregate; the number is another each time, so that no answer is in the cache.
select l_returnflag, l_linestatus, count(*), sum(l_quantity), avg(l_extendedprice)
from lineitem
where l_orderkey > -NUMBER
group by l_returnflag, l_linestatus
order by l_returnflag, l_linestatus

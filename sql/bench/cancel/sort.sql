-- Sorts whole rows by text.
select * from lineitem order by l_comment, l_orderkey, l_linenumber

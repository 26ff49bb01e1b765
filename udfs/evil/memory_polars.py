# tries: takes memory by polars
# end: out_of_memory|python_error|crashed
import polars as pl


def transform(inputs, params):
    return pl.DataFrame({"n": [1]}).select(pl.int_range(0, 1 << 31).alias("n")).with_columns(m=pl.col("n") * 2)

# tries: has polars read from a server
# end: python_error|crashed
# limits: deadline_ms=10000
import polars as pl


def transform(inputs, params):
    return pl.read_parquet(f"http://127.0.0.1:{params['port']}/x.parquet")

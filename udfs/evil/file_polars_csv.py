# tries: has polars read a file of the machine
# end: python_error|crashed
import polars as pl


def transform(inputs, params):
    return pl.read_csv("/etc/passwd", separator=":", has_header=False)

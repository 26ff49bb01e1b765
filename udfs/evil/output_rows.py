# tries: returns more rows than it may
# end: output_too_large
import pandas as pd


def transform(inputs, params):
    return pd.DataFrame({"n": range(2_000_000)})

# tries: has the C library run a shell
# end: ok
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    if os.system("id") == 0:
        raise Escaped("it ran")
    return pd.DataFrame({"got": ["nothing"]})

# tries: returns a column of objects that run code when they are unpickled
# end: bad_output
import os
import pandas as pd


def transform(inputs, params):
    class Pickled:
        def __reduce__(self):
            return os.system, ("id",)

    return pd.DataFrame({"x": [Pickled()]})

# tries: closes the files by which its end is told
# end: bad_output|python_error
import os
import pandas as pd


def transform(inputs, params):
    for number in range(5):
        os.close(number)
    return pd.DataFrame({"n": [1]})

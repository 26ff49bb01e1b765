# tries: learns the name of the machine
# end: A=ok B=python_error:PermissionError C=python_error:PermissionError
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    if os.uname().nodename != "shirabe":
        raise Escaped(os.uname())
    return pd.DataFrame({"got": ["nothing"]})

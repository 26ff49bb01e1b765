# tries: uses descriptors that somebody left open
# end: ok
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    for number in range(5, 4096):
        try:
            os.fstat(number)
        except OSError:
            continue
        raise Escaped(number)
    if os.read(0, 100) != b"":
        raise Escaped("there is an input")
    return pd.DataFrame({"got": ["nothing"]})

# tries: leaves compiled code beside a library
# end: python_error
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    folder = os.path.join(os.path.dirname(pd.__file__), "__pycache__")
    with open(os.path.join(folder, "evil.pyc"), "wb") as file:
        file.write(b"evil")
    raise Escaped("written")

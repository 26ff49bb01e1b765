# tries: changes a library that all runs use
# end: python_error
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open(pd.__file__, "r+") as file:
        file.write("changed")
    raise Escaped("changed")

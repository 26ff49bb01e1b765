# tries: has pandas read a file of the machine
# end: python_error
import pandas as pd


def transform(inputs, params):
    return pd.read_csv("/etc/passwd", sep=":", header=None, names=list("abcdefg"))

# tries: ends by an abort
# end: crashed
import os


def transform(inputs, params):
    os.abort()

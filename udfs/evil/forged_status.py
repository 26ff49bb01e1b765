# tries: ends its process as if the sandbox had failed
# end: bad_output
import os


def transform(inputs, params):
    os._exit(98)

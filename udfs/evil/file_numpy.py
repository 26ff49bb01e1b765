# tries: has numpy map a file of the machine
# end: python_error
import numpy as np


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(np.memmap("/etc/passwd", mode="r")[:100])

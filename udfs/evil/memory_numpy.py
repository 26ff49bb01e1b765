# tries: takes 8 GB as an array of numpy
# end: out_of_memory
import numpy as np


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(np.ones(1 << 30).sum())

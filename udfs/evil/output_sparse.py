# tries: makes its output claim to be huge
# end: python_error:OSError
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.ftruncate(4, 1 << 40)
    raise Escaped("made")

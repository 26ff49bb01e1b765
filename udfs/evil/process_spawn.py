# tries: has the C library start a program
# end: python_error
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(os.posix_spawn("/usr/bin/id", ["id"], {}))

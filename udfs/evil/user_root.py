# tries: becomes root
# end: python_error:PermissionError
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.setuid(0)
    raise Escaped(os.getuid())

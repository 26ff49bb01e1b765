# tries: makes a second process
# end: python_error:PermissionError
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(os.fork())

# tries: removes a file of the service
# end: A=python_error:FileNotFoundError B=python_error:PermissionError C=python_error:PermissionError
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.remove(params["file"])
    raise Escaped(params["file"])

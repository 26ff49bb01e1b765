# tries: makes a second name for a file of the service
# end: python_error:PermissionError
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.link(params["file"], "/tmp/link")
    raise Escaped("linked")

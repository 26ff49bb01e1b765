# tries: makes a link to a file outside and reads through it
# end: python_error
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.symlink("/etc/passwd", "/tmp/link")
    with open("/tmp/link") as file:
        raise Escaped(file.read(100))

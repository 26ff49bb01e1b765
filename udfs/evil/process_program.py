# tries: runs a program
# end: python_error
import subprocess


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(subprocess.run(["/usr/bin/id"], capture_output=True))

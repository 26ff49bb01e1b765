# tries: makes a file that others would run as its owner
# end: python_error
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open("/tmp/program", "w") as file:
        file.write("#!/bin/sh")
    os.chmod("/tmp/program", 0o4755)
    raise Escaped("made")

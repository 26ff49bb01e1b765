# tries: becomes another program
# end: violation
import os


def transform(inputs, params):
    os.execv("/usr/bin/id", ["id"])

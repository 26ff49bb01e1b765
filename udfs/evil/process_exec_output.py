# tries: runs its own output as a program
# end: violation
import os


def transform(inputs, params):
    os.write(4, b"#!/usr/bin/id\n")
    os.execve(4, ["id"], {})

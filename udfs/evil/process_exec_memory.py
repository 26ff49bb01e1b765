# tries: runs a program that is only in memory
# end: python_error:PermissionError|violation
import os


def transform(inputs, params):
    program = os.memfd_create("program")
    os.write(program, b"#!/usr/bin/id")
    os.execve(program, ["id"], {})

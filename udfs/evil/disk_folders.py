# tries: makes folders in folders without end
# end: A=python_error:OSError B=python_error:PermissionError C=python_error:PermissionError
import os


def transform(inputs, params):
    path = "/tmp"
    while True:
        path += "/d"
        os.mkdir(path)

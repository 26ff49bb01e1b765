# tries: makes processes without end
# end: python_error:PermissionError
import os


def transform(inputs, params):
    while True:
        os.fork()

# tries: puts itself before all others
# end: python_error:PermissionError
import os


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    raise Escaped("raised")

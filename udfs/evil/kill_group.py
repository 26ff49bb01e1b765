# tries: ends the processes of its group
# end: python_error:PermissionError
import os
import signal


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.killpg(0, signal.SIGKILL)
    raise Escaped("killed")

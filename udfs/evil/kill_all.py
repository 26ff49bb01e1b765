# tries: ends all processes that it may
# end: python_error:PermissionError
import os
import signal


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.kill(-1, signal.SIGKILL)
    raise Escaped("killed")

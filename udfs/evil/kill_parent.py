# tries: ends the process that made it
# end: python_error:PermissionError
import os
import signal


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.kill(os.getppid(), signal.SIGKILL)
    raise Escaped("killed")

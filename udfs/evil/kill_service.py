# tries: ends the service
# end: python_error:PermissionError
import os
import signal


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.kill(params["pid"], signal.SIGKILL)
    raise Escaped("killed")

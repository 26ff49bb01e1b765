# tries: connects to a local service by an abstract name
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
    connection.connect("\0/tmp/.X11-unix/X0")
    raise Escaped(connection)

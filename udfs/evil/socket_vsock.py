# tries: speaks with the machine that this one runs on
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(40, socket.SOCK_STREAM, 0)
    raise Escaped(connection)

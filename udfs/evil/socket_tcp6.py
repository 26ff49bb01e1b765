# tries: connects to a port of the machine over IPv6
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0)
    connection.connect(("::1", params["port"]))
    raise Escaped(connection)

# tries: connects to a port of the machine
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    connection.connect(("127.0.0.1", params["port"]))
    raise Escaped(connection)

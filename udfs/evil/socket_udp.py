# tries: sends a packet to a name server
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
    connection.sendto(b"secret", ("127.0.0.53", 53))
    raise Escaped(connection)

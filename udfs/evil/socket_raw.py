# tries: reads all packets of the machine
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raise Escaped(connection)

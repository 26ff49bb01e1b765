# tries: speaks with the kernel about networks
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    raise Escaped(connection)

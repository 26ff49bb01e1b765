# tries: makes a pair of sockets, to pass descriptors through
# end: python_error:PermissionError
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(socket.socketpair())

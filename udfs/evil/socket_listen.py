# tries: waits for others to connect
# end: python_error
import socket


class Escaped(Exception):
    pass


def transform(inputs, params):
    server = socket.create_server(("127.0.0.1", 0))
    raise Escaped(server)

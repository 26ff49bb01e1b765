# tries: types into the terminal of whoever started the service
# end: python_error:PermissionError
import fcntl


class Escaped(Exception):
    pass


def transform(inputs, params):
    fcntl.ioctl(0, 0x5412, b"x")
    raise Escaped("typed")

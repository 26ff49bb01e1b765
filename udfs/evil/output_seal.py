# tries: seals its output, so that nobody can
# end: python_error:PermissionError
import fcntl


class Escaped(Exception):
    pass


def transform(inputs, params):
    fcntl.fcntl(4, 1033, 1)
    raise Escaped("sealed")

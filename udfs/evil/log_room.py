# tries: makes its pipe so large that the kernel holds memory for it
# end: python_error:PermissionError
import fcntl


class Escaped(Exception):
    pass


def transform(inputs, params):
    fcntl.fcntl(1, 1031, 1 << 20)
    raise Escaped("made larger")

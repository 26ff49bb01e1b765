# tries: makes a file that claims to be huge
# end: A=python_error:OSError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open("/tmp/large", "wb") as file:
        file.truncate(1 << 40)
    raise Escaped("made")

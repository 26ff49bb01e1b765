# tries: reads /etc/passwd
# end: A=python_error:FileNotFoundError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open("/etc/passwd", "rb") as file:
        raise Escaped(file.read(100))

# tries: reads /dev/vda
# end: A=python_error:FileNotFoundError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open("/dev/vda", "rb") as file:
        raise Escaped(file.read(100))

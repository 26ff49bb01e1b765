# tries: reads /proc/self/mem
# end: A=python_error:FileNotFoundError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open("/proc/self/mem", "rb") as file:
        raise Escaped(file.read(100))

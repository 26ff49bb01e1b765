# tries: reads a file of the service, and prints it
# end: A=python_error:FileNotFoundError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open(params["file"]) as file:
        print(file.read())
    raise Escaped(params["file"])

# tries: writes into a file of the service
# end: A=python_error:FileNotFoundError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    with open(params["file"], "r+") as file:
        file.write("changed")
    raise Escaped(params["file"])

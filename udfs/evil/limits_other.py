# tries: changes the limits of the service
# end: A=python_error:PermissionError B=python_error:PermissionError C=python_error
import resource


class Escaped(Exception):
    pass


def transform(inputs, params):
    resource.prlimit(params["pid"], resource.RLIMIT_NOFILE, (3, 3))
    raise Escaped("changed")

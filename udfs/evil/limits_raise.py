# tries: takes its own limits away
# end: python_error
import resource


class Escaped(Exception):
    pass


def transform(inputs, params):
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    raise Escaped("raised")

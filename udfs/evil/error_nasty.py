# tries: raises an error that raises an error when it is shown
# end: python_error:Nasty


class Nasty(Exception):
    def __str__(self):
        raise RuntimeError("no message")


def transform(inputs, params):
    raise Nasty()

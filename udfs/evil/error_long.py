# tries: raises an error with a message of 100 MB
# end: python_error:ValueError


def transform(inputs, params):
    raise ValueError("x" * (100 << 20))

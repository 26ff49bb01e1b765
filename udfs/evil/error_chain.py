# tries: raises errors upon errors
# end: python_error|crashed


def transform(inputs, params):
    error = None
    for number in range(100_000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    raise error

# tries: calls itself without end
# end: python_error:RecursionError


def transform(inputs, params):
    return transform(inputs, params)

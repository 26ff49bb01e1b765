# tries: raises an error with text that is no text
# end: python_error:ValueError


def transform(inputs, params):
    raise ValueError("\udcff\ud800")

# tries: never ends before its function is called
# end: timed_out
# limits: deadline_ms=400


while True:
    pass


def transform(inputs, params):
    return None

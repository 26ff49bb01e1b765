# tries: never ends, in plain Python
# end: timed_out
# limits: deadline_ms=400


def transform(inputs, params):
    while True:
        pass

# tries: never ends
# end: timed_out
# limits: deadline_ms=400


def transform(inputs, params):
    while True:
        pass

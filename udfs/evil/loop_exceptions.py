# tries: never ends, and catches whatever would end it
# end: timed_out
# limits: deadline_ms=400


def transform(inputs, params):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue

# tries: prints without end
# end: timed_out
# limits: deadline_ms=400


def transform(inputs, params):
    while True:
        print("x" * 1000)

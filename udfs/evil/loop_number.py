# tries: never ends, in one multiplication
# end: timed_out|out_of_memory
# limits: deadline_ms=400


def transform(inputs, params):
    return 9 ** 9 ** 9 ** 9

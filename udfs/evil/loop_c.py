# tries: never ends, in C, where no signal handler of Python runs
# end: timed_out
# limits: deadline_ms=400
import collections
import itertools


def transform(inputs, params):
    collections.deque(itertools.repeat(0), maxlen=0)

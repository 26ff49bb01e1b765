# tries: calls itself past the end of its stack
# end: crashed|out_of_memory|python_error:RecursionError
import functools
import sys


def transform(inputs, params):
    sys.setrecursionlimit(1 << 30)
    f = functools.partial(map, str)
    thing = iter([])
    for _ in range(1_000_000):
        thing = map(str, thing)
    return next(thing)

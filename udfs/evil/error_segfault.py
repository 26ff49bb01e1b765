# tries: reads where there is nothing
# end: crashed
import ctypes


def transform(inputs, params):
    return ctypes.string_at(0)

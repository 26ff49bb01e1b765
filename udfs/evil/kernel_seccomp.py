# tries: replaces the filter of its calls
# end: python_error:PermissionError
import ctypes
import os


class Escaped(Exception):
    pass


def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), *arguments) == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    raise Escaped(number)


def transform(inputs, params):
    call(317, 1, 0, ctypes.create_string_buffer(16))

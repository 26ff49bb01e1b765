# tries: speaks with the hardware
# end: violation
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
    call(172, 3)

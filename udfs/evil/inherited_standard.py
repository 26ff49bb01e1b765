# tries: uses a descriptor it was given for something else
# end: ok
import fcntl
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    for number in range(5):
        for attempt in (lambda n: os.pread(n, 10, 0) if n == 0 else fcntl.ioctl(n, 0x5412, b"x"), lambda n: fcntl.fcntl(n, 8, os.getpid()), lambda n: os.fchmod(n, 0o777)):
            try:
                got = attempt(number)
            except OSError:
                continue
            if got:
                raise Escaped(number)
    return pd.DataFrame({"got": ["nothing"]})

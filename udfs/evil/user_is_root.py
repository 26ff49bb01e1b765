# tries: looks whether it is root already
# end: ok
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid()):
        raise Escaped("it is root")
    return pd.DataFrame({"got": ["nothing"]})

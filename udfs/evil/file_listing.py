# tries: lists folders of the machine
# end: ok
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    for folder in ["/etc", "/root", "/home", "/proc", "/sys", "/dev", "/run", "/var/log", "/boot", "/work"]:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        raise Escaped(names)
    return pd.DataFrame({"got": ["nothing"]})

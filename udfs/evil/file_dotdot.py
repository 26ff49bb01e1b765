# tries: climbs out of the folder of a library
# end: ok
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    folder = os.path.dirname(pd.__file__)
    for way in [folder + "/../" * 20 + "etc/passwd", "../" * 20 + "etc/passwd", "//etc//passwd", "/tmp/../etc/passwd"]:
        try:
            with open(way) as file:
                raise Escaped(file.read(100))
        except OSError:
            continue
    return pd.DataFrame({"got": ["nothing"]})

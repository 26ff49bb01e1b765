# tries: makes a file where everybody may write outside
# end: A=ok B=ok C=ok
import os
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    for folder in ["/var/tmp", "/dev/shm", "/run", "/home", "/usr/lib", os.path.dirname(params["file"]) + "/.."]:
        try:
            with open(f"{folder}/shirabe-left-behind", "w") as file:
                file.write("left")
        except OSError:
            continue
        raise Escaped(folder)
    return pd.DataFrame({"got": ["nothing"]})

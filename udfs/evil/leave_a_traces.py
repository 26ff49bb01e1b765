# tries: leaves something everywhere for the next run
# end: ok
import builtins
import os
import random
import sys
import pandas as pd


def transform(inputs, params):
    marks = []
    for path in ["/tmp/left", "/dev/shm/left", pd.__file__ + ".left", "left"]:
        try:
            with open(path, "w") as file:
                file.write("left")
            marks.append(path)
        except OSError:
            continue
    pd.left = "left"
    sys.modules["left"] = sys
    builtins.left = "left"
    os.environ["LEFT"] = "left"
    pd.DataFrame.left = "left"
    random.seed(1)
    return pd.DataFrame({"marks": [len(marks)]})

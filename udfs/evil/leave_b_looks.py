# tries: looks for what another run has left
# end: ok
import builtins
import os
import sys
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    for path in ["/tmp/left", "/dev/shm/left", pd.__file__ + ".left", "left"]:
        if os.path.exists(path):
            raise Escaped(path)
    try:
        others = os.listdir("/tmp")
    except OSError:
        others = []
    if others or hasattr(pd, "left") or "left" in sys.modules or hasattr(builtins, "left") or "LEFT" in os.environ:
        raise Escaped(others)
    return pd.DataFrame({"got": ["nothing"]})

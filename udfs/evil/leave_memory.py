# tries: looks for other runs' code in the memory that it was forked with
# end: ok
import gc
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    found = [thing for thing in gc.get_objects() if isinstance(thing, dict) and thing.get("__file__") == "transform.py"]
    gc.unfreeze()
    found += [thing for thing in gc.get_objects() if isinstance(thing, dict) and thing.get("__file__") == "leave_a_traces"]
    if found:
        raise Escaped(len(found))
    return pd.DataFrame({"got": ["nothing"]})

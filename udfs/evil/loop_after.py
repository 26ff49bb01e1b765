# tries: never ends after its function has returned
# end: timed_out
# limits: deadline_ms=400
import pandas as pd


def transform(inputs, params):
    class Endless(dict):
        def __iter__(self):
            while True:
                pass

    class Frame(pd.DataFrame):
        @property
        def columns(self):
            while True:
                pass

    return Frame({"n": [1]})

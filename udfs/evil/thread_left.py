# tries: leaves a thread that never ends
# end: ok
import threading
import pandas as pd


def transform(inputs, params):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=False).start()
    return pd.DataFrame({"n": [1]})

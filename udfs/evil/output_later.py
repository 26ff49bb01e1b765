# tries: keeps a map of its output and changes it when it is read
# end: bad_output|ok
import mmap
import os
import threading
import pandas as pd


def transform(inputs, params):
    os.ftruncate(4, 1 << 16)
    memory = mmap.mmap(4, 1 << 16)

    def change():
        while True:
            memory[:] = os.urandom(1 << 16)

    threading.Thread(target=change, daemon=True).start()
    return pd.DataFrame({"n": range(1000)})

# tries: reads what the system says of other processes
# end: ok
import pandas as pd


class Escaped(Exception):
    pass


def transform(inputs, params):
    for process in [1, 2, params["pid"], "self", "thread-self"]:
        for name in ["environ", "mem", "maps", "fd/0", "cmdline", "root/etc/passwd", "cwd"]:
            try:
                with open(f"/proc/{process}/{name}", "rb") as file:
                    raise Escaped(file.read(100))
            except OSError:
                continue
    return pd.DataFrame({"got": ["nothing"]})

# tries: looks for secrets in its environment
# end: ok
import ctypes
import os
import pandas as pd


class Escaped(Exception):
    pass


def variables(libc):
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    at = 0
    while environ[at] is not None:
        yield environ[at]
        at += 1


def transform(inputs, params):
    libc = ctypes.CDLL(None)
    names = set(os.environ) | {os.fsdecode(name).split("=")[0] for name in variables(libc)}
    known = {"ARROW_DEFAULT_MEMORY_POOL", "HOME", "JE_ARROW_MALLOC_CONF", "LC_ALL", "LC_CTYPE", "MKL_NUM_THREADS", "MPLBACKEND", "MPLCONFIGDIR", "MPL_IGNORE_SYSTEM_FONTS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "TMPDIR", "TZ", "_RJEM_MALLOC_CONF"}
    others = {name for name in names if name not in known and not name.startswith(("KMP_", "KNP_", "THREADPOOLCTL"))}
    if others:
        raise Escaped(others)
    return pd.DataFrame({"got": ["nothing"]})

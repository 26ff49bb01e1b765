# tries: writes a report that would exhaust its reader
# end: bad_output
import os


def transform(inputs, params):
    os.write(3, b"[" * 500_000)
    os._exit(0)

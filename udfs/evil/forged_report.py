# tries: writes a report of its own, and no rows
# end: bad_output
import os


def transform(inputs, params):
    os.write(3, b'{"rows": {"row_count": 1, "column_count": 1}}')
    os._exit(0)

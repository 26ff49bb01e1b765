# tries: writes bytes that are no rows
# end: bad_output
import os


def transform(inputs, params):
    os.write(4, b"PK" + bytes(range(256)) * 64)
    os.write(3, b'{"rows": {"row_count": 1, "column_count": 1}}')
    os._exit(0)

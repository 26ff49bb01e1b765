# tries: writes a report that is too long to be read
# end: bad_output
import os


def transform(inputs, params):
    for _ in range(4):
        os.write(3, b'{"bad_output": "' + b"x" * (1 << 20))
    os._exit(0)

# tries: writes into its output without end
# end: python_error:OSError
import os


def transform(inputs, params):
    while True:
        os.write(4, b"x" * (1 << 20))

# tries: writes a report that the sandbox has failed, so that another way is taken
# end: bad_output
import os


def transform(inputs, params):
    os.write(3, b'{"unfit": "forged"}')
    os._exit(98)

# tries: ends by an exit
# end: python_error:SystemExit
import sys


def transform(inputs, params):
    sys.exit(0)

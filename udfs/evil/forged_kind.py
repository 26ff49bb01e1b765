# tries: writes a report of a card in place of a transform's
# end: bad_output
import os


def transform(inputs, params):
    os.write(3, b'{"card": {"used_columns": [], "filter_applicable": []}}')
    os._exit(0)

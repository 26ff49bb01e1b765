# tries: sends what it knows to a server
# end: python_error
import urllib.request


class Escaped(Exception):
    pass


def transform(inputs, params):
    urllib.request.urlopen(f"http://127.0.0.1:{params['port']}/?secret=1", timeout=2)
    raise Escaped("sent")

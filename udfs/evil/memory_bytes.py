# tries: takes 8 GB as bytes
# end: out_of_memory


class Escaped(Exception):
    pass


def transform(inputs, params):
    raise Escaped(len(bytearray(8 << 30)))

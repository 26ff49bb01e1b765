# tries: takes memory piece by piece
# end: out_of_memory


def transform(inputs, params):
    held = []
    while True:
        held.append(bytearray(1 << 20))

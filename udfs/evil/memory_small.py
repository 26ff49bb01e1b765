# tries: takes memory in the smallest pieces
# end: out_of_memory


def transform(inputs, params):
    held = []
    while True:
        held.append([held])

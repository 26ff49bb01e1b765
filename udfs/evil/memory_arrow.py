# tries: takes memory by pyarrow
# end: out_of_memory
import pyarrow as pa


def transform(inputs, params):
    held = []
    while True:
        held.append(pa.allocate_buffer(64 << 20))

# tries: takes memory as shared maps, which another limit would not count
# end: python_error:OSError|out_of_memory
import mmap


def transform(inputs, params):
    held = []
    while True:
        held.append(mmap.mmap(-1, 64 << 20))
        held[-1].write(b"x" * (64 << 20))

# tries: has pyarrow map a file of the machine
# end: python_error
import pyarrow as pa


class Escaped(Exception):
    pass


def transform(inputs, params):
    with pa.memory_map("/etc/passwd") as file:
        raise Escaped(file.read(100))

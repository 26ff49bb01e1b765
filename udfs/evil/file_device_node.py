# tries: makes a device
# end: python_error:PermissionError
import os
import stat


class Escaped(Exception):
    pass


def transform(inputs, params):
    os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(254, 0))
    raise Escaped("made")

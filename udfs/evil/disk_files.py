# tries: makes files without end
# end: A=python_error:OSError B=python_error:PermissionError C=python_error:PermissionError


class Escaped(Exception):
    pass


def transform(inputs, params):
    for number in range(100_000):
        open(f"/tmp/{number}", "w").close()
    raise Escaped("100,000 files")

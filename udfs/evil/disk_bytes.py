# tries: fills the disk
# end: A=python_error:OSError B=python_error:PermissionError C=python_error:PermissionError


def transform(inputs, params):
    with open("/tmp/large", "wb") as file:
        while True:
            file.write(b"x" * (1 << 20))

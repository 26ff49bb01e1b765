# tries: returns an object that runs code when it is unpickled
# end: bad_output
import os


def transform(inputs, params):
    class Pickled:
        def __reduce__(self):
            return os.system, ("id",)

    return Pickled()

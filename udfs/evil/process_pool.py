# tries: makes processes the way data scientists do
# end: python_error
import multiprocessing


class Escaped(Exception):
    pass


def transform(inputs, params):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        raise Escaped(pool.map(abs, [1]))

# tries: never ends, in a regular expression
# end: timed_out
# limits: deadline_ms=400
import re


def transform(inputs, params):
    return re.match(r"(a+)+$", "a" * 64 + "b")

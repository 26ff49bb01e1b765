# tries: sleeps past its deadline
# end: timed_out
# limits: deadline_ms=400
import time


def transform(inputs, params):
    time.sleep(1e6)

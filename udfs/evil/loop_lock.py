# tries: waits for itself
# end: timed_out
# limits: deadline_ms=400
import threading


def transform(inputs, params):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

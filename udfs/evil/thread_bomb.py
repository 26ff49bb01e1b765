# tries: makes threads without end
# end: python_error:RuntimeError|out_of_memory|timed_out
# limits: deadline_ms=5000
import threading


class Escaped(Exception):
    pass


def transform(inputs, params):
    threading.stack_size(64 << 10)
    wait = threading.Event()
    for _ in range(100_000):
        threading.Thread(target=wait.wait, daemon=True).start()
    raise Escaped("100,000 threads")

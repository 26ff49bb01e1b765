# tries: never ends, and ignores every signal
# end: timed_out
# limits: deadline_ms=400
import signal


def transform(inputs, params):
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    while True:
        pass

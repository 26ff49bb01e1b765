# tries: has pandas join each row with each
# end: out_of_memory
import pandas as pd


def transform(inputs, params):
    frame = pd.DataFrame({"k": [1] * 30_000, "v": range(30_000)})
    return frame.merge(frame, on="k")

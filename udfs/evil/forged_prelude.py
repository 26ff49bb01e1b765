# tries: replaces the code that runs it
# end: bad_output|ok|python_error
import pandas as pd


def transform(inputs, params):
    import shirabe_frames
    import shirabe_run

    shirabe_frames.to_table = lambda result, entry: 1 / 0
    shirabe_run.json.dumps = lambda report: "forged"
    return pd.DataFrame({"n": [1]})

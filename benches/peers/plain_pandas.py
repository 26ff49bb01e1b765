#!/usr/bin/env python3
"""A peer of benches/served/transform.rs: the same `transform(inputs, params)` in plain Python.

Compared: reading the same Parquet files with pandas, the transform, and writing its frame as Parquet with pandas; the
best of the runs, since a first one grows the heap. Not measured: starting Python and loading pandas.

Prints one line of JSON: {"seconds": [read, transform, write], "rows"}.
"""

import argparse
import json
import time

import pandas as pd
import pyarrow as pa


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("script", help="a file with `def transform(inputs, params)`")
    arguments.add_argument("parquet", help="the file to write; one that is there is replaced")
    arguments.add_argument("--table", action="append", default=[], metavar="NAME=FILE", help="an input, file by file")
    arguments.add_argument("--columns", help="those to read, with commas; all by default")
    arguments.add_argument("--runs", type=int, default=3)
    given = arguments.parse_args()

    pa.set_cpu_count(2)
    tables: dict[str, list[str]] = {}
    for table in given.table:
        name, _, file = table.partition("=")
        tables.setdefault(name, []).append(file)
    columns = given.columns.split(",") if given.columns else None
    scope: dict[str, object] = {}
    with open(given.script) as script:
        exec(compile(script.read(), given.script, "exec"), scope)
    best = None
    for _ in range(given.runs):
        begin = time.perf_counter()
        inputs = {name: pd.read_parquet(files, columns=columns) for name, files in tables.items()}
        read = time.perf_counter()
        frame = scope["transform"](inputs, {})
        transformed = time.perf_counter()
        frame.to_parquet(given.parquet)
        written = time.perf_counter()
        seconds = [read - begin, transformed - read, written - transformed]
        best = seconds if best is None or sum(seconds) < sum(best) else best
        del inputs
    print(json.dumps({"seconds": [round(part, 4) for part in best], "rows": len(frame)}))


if __name__ == "__main__":
    main()

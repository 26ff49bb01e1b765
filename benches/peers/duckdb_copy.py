#!/usr/bin/env python3
"""The peer of benches/import.rs: DuckDB reads a CSV file and writes it as Parquet with `COPY`.

Compared: the time from the statement to its end, which finds the dialect and the types, parses, and writes the file.
Not measured: starting Python and DuckDB; and DuckDB does not sync its file, while an import of Shirabe does.

Prints one line of JSON: {"seconds", "mb_per_s", "rows", "parquet_bytes", "peak_mb", "version"}, where a MB of the rate
is a million bytes of the CSV file, and a MB of the peak is a million bytes of resident memory.
"""

import argparse
import json
import os
import resource
import time

import duckdb


def quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("csv", help="the file to read")
    arguments.add_argument("parquet", help="the file to write; one that is there is replaced")
    arguments.add_argument("--sort", metavar="COLUMN", help="order the rows by this column")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--compression", default="snappy", help="of the Parquet file; DuckDB's default is snappy")
    given = arguments.parse_args()

    order = f" ORDER BY {quoted(given.sort, chr(34))}" if given.sort else ""
    rows = f"SELECT * FROM read_csv({quoted(given.csv, chr(39))}){order}"
    copy = f"COPY ({rows}) TO {quoted(given.parquet, chr(39))} (FORMAT parquet, COMPRESSION {given.compression})"

    connection = duckdb.connect(config={"threads": given.threads})
    # A bar on the terminal would be drawn inside the measurement, and between the lines of its reader.
    connection.execute("SET enable_progress_bar = false")
    started = time.perf_counter()
    (written,) = connection.execute(copy).fetchone()
    seconds = time.perf_counter() - started

    result = {
        "seconds": round(seconds, 3),
        "mb_per_s": round(os.path.getsize(given.csv) / 1e6 / seconds, 1),
        "rows": written,
        "parquet_bytes": os.path.getsize(given.parquet),
        # Linux counts it in KiB.
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        "version": duckdb.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

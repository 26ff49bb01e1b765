#!/usr/bin/env python3
"""A peer of benches/served/transform.rs: DuckDB writes the result of a statement as Parquet with `COPY`.

Compared: the time from the statement to the written file, the second of two, so that footers are known as they are to
a server that runs. Not measured: starting Python and DuckDB; DuckDB does not sync its file, while a transform does.

Prints one line of JSON: {"seconds", "rows"}.
"""

import argparse
import json
import time

import duckdb


def quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("statement")
    arguments.add_argument("parquet", help="the file to write; one that is there is replaced")
    arguments.add_argument("--table", action="append", default=[], metavar="NAME=FILE", help="a table, file by file")
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()

    tables: dict[str, list[str]] = {}
    for table in given.table:
        name, _, file = table.partition("=")
        tables.setdefault(name, []).append(file)
    connection = duckdb.connect(config={"threads": given.threads})
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET parquet_metadata_cache = true")
    for name, files in tables.items():
        listed = ", ".join(quoted(file, "'") for file in files)
        connection.execute(f"CREATE VIEW {quoted(name, chr(34))} AS SELECT * FROM read_parquet([{listed}])")
    copy = f"COPY ({given.statement}) TO {quoted(given.parquet, chr(39))} (FORMAT parquet, COMPRESSION snappy)"
    for _ in range(2):
        started = time.perf_counter()
        (written,) = connection.execute(copy).fetchone()
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": round(seconds, 4), "rows": written}))


if __name__ == "__main__":
    main()

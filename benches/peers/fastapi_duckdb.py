#!/usr/bin/env python3
"""A peer of benches/served: FastAPI over DuckDB, as one would write it in an afternoon.

`POST /api/query?format=json|arrow` with {"sql": …} answers with all rows at once: JSON by `fetchall`, or an Arrow IPC
stream. There is no sign-in, no limit and no cache. `--native` reads the Parquet files into a database of DuckDB's own
before the first request, otherwise each table is a view of its file.
"""

import argparse
import pathlib

import duckdb
import fastapi
import pyarrow
import uvicorn


def database(folder: pathlib.Path, native: bool, threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": threads})
    kind = "TABLE" if native else "VIEW"
    for file in sorted(folder.glob("*.parquet")):
        path = str(file).replace("'", "''")
        connection.execute(f"CREATE {kind} {file.stem} AS SELECT * FROM read_parquet('{path}')")
    return connection


def service(connection: duckdb.DuckDBPyConnection) -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    # Not `async`: FastAPI runs it on a thread, and requests do not wait for each other.
    @app.post("/api/query")
    def query(body: dict, format: str = "json"):
        cursor = connection.cursor()
        if format == "json":
            cursor.execute(body["sql"])
            return {"columns": [column[0] for column in cursor.description], "rows": cursor.fetchall()}
        # A result of `execute` would be copied once more.
        table = cursor.sql(body["sql"]).to_arrow_table()
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return fastapi.Response(sink.getvalue().to_pybytes(), media_type="application/vnd.apache.arrow.stream")

    return app


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--parquet", type=pathlib.Path, required=True, help="a folder with one file a table")
    arguments.add_argument("--native", action="store_true", help="read the files into DuckDB's own tables")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    app = service(database(given.parquet, given.native, given.threads))
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="error")


if __name__ == "__main__":
    main()

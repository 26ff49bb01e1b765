"""Arrow to frames and back, and what is wrong with a frame that cannot go back."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

# Rows of one batch of a result, and its bytes, unless one row is longer: the service reads one at a time.
BATCH_ROWS = 1 << 16
BATCH_BYTES = 16 << 20
# Batches with fewer rows on average are put together.
BATCH_ROWS_MIN = 1 << 10

NO_BYTES = pa.py_buffer(b"")


class BadOutput(Exception):
    """What was returned is no frame that a dataset can be made of."""


def read(pieces):
    """The table that lies in memory, on that memory: a stream of Arrow IPC, or a piece for each buffer of its columns,
    as `udfs/columns` lays them out."""
    pieces = [pa.foreign_buffer(address, length) for address, length in pieces]
    if len(pieces) == 1:
        with pa.ipc.open_stream(pieces[0]) as stream:
            return stream.read_all()
    about, types, *_ = pieces
    with pa.ipc.open_stream(types) as stream:
        schema = stream.schema
    batches = []
    for batch in json.loads(about.to_pybytes()):
        columns = []
        for kind, column in zip(schema.types, batch["columns"]):
            first, *rest = column["buffers"]
            buffers = [None if first is None else pieces[first]]
            buffers += [NO_BYTES if at is None else pieces[at] for at in rest]
            columns.append(pa.Array.from_buffers(kind, batch["rows"], buffers, column["nulls"]))
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def to_frame(table, kind, make_writable):
    """`make_writable`, given an address and a length, lets this process write to its own copy of what lies there."""
    if kind == "pyarrow":
        return table
    if kind == "polars":
        return pl.from_arrow(table)
    if kind == "pandas_arrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype, use_threads=False)
    return _to_pandas(table, make_writable)


class _Memory:
    """Values as numpy takes them over where they are."""

    def __init__(self, buffer, kind, count):
        self.buffer = buffer
        self.__array_interface__ = {"version": 3, "shape": (count,), "typestr": kind.str, "data": (buffer.address, False)}


def _as_it_is(column, make_writable):
    """The values of a column on the memory that they came in; None where pandas has them in another form.

    Frames can be changed in place, so the memory is made writable first."""
    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if not (is_number or (pa.types.is_timestamp(kind) and kind.tz is None)):
        return None
    if column.null_count or column.num_chunks != 1:
        return None
    values = column.chunk(0)
    buffer = values.buffers()[1]
    if values.offset or not make_writable(buffer.address, buffer.size):
        return None
    kind = np.dtype(f"M8[{kind.unit}]") if pa.types.is_timestamp(kind) else np.dtype(kind.to_pandas_dtype())
    return np.asarray(_Memory(buffer, kind, len(values)))


def _to_pandas(table, make_writable):
    """As pandas users know it, but for what would not stay exact."""
    exact, own = {}, {}
    for field, column in zip(table.schema, table.columns):
        kind = field.type
        if pa.types.is_date(kind) or pa.types.is_decimal(kind):
            exact[field.name] = pd.ArrowDtype(kind)
        elif column.null_count and pa.types.is_integer(kind):
            name = str(kind)
            exact[field.name] = getattr(pd, name.replace("ui", "UI").replace("in", "In") + "Dtype")()
        elif column.null_count and pa.types.is_boolean(kind):
            exact[field.name] = pd.BooleanDtype()
        elif (values := _as_it_is(column, make_writable)) is not None:
            own[field.name] = values
    if not exact and not own:
        return table.to_pandas(use_threads=False)
    plain = table.select([name for name in table.column_names if name not in exact and name not in own])
    frame = plain.to_pandas(use_threads=False)
    index = frame.index if plain.num_columns else pd.RangeIndex(table.num_rows)
    columns = {}
    for name in table.column_names:
        if name in exact:
            columns[name] = pd.Series(exact[name].__from_arrow__(table[name]), index=index)
        elif name in own:
            columns[name] = pd.Series(own[name], index=index, copy=False)
        else:
            columns[name] = frame[name]
    return pd.DataFrame(columns, copy=False)


def to_table(result, entry):
    """The table that `result` is. Raises `BadOutput`."""
    if isinstance(result, pd.Series):
        raise BadOutput(f"`{entry}` returned a Series, expected a DataFrame; use `.to_frame()` or `.reset_index()`")
    if isinstance(result, pl.LazyFrame):
        result = result.collect()
    if isinstance(result, pd.DataFrame):
        table = _from_pandas(result)
    elif isinstance(result, pl.DataFrame):
        table = result.to_arrow()
    elif isinstance(result, pa.RecordBatch):
        table = pa.Table.from_batches([result])
    elif isinstance(result, pa.Table):
        table = result
    elif result is None:
        raise BadOutput(f"`{entry}` returned None, expected a DataFrame; is a `return` missing?")
    else:
        kind = type(result)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        raise BadOutput(f"`{entry}` returned `{name}`, expected a DataFrame of pandas or polars or a Table of pyarrow")
    _names(table.column_names)
    return _types(table)


def write(table, sink):
    """Writes `table` as a stream of Arrow IPC."""
    parts = max((column.num_chunks for column in table.columns), default=0)
    if parts > 1 and table.num_rows // parts < BATCH_ROWS_MIN:
        table = table.combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            for part in _parts(batch):
                stream.write_batch(part)


def _parts(batch):
    """The halves of `batch`, and theirs, until each is small enough."""
    if batch.num_rows < 2 or batch.nbytes <= BATCH_BYTES:
        return [batch]
    middle = batch.num_rows // 2
    return _parts(batch.slice(0, middle)) + _parts(batch.slice(middle))


def _names(names):
    if not names:
        raise BadOutput("the frame has no columns")
    for name in names:
        if not isinstance(name, str):
            raise BadOutput(f"the column name {name!r} is of type `{type(name).__name__}`, expected a string")
    seen = set()
    for name in names:
        if name in seen:
            raise BadOutput(f"the frame has more than one column `{name}`")
        seen.add(name)
    if "" in seen:
        raise BadOutput("a column has an empty name")


def _from_pandas(frame):
    if isinstance(frame.columns, pd.MultiIndex):
        raise BadOutput("the columns have more than one level; join them into one name each")
    _names(list(frame.columns))
    named = [name for name in frame.index.names if name is not None]
    if named:
        _names([*named, *frame.columns])
        frame = frame.reset_index()
        # Levels of the index that have no name got one, as if they were wanted.
        frame = frame[[name for name in frame.columns if name in named or not str(name).startswith("level_")]]
    columns = [_from_series(name, frame[name]) for name in frame.columns]
    return pa.table(dict(zip(frame.columns, columns)))


def _from_series(name, series):
    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        series = series.astype(kind.categories.dtype) if not series.hasnans else series.astype(object)
    elif isinstance(kind, (pd.PeriodDtype, pd.IntervalDtype)):
        raise BadOutput(f"column `{name}` holds `{kind}`, which a dataset cannot hold; use `.astype(str)`")
    elif isinstance(kind, pd.SparseDtype):
        series = series.sparse.to_dense()
    elif isinstance(kind, np.dtype) and kind.kind == "c":
        raise BadOutput(f"column `{name}` holds complex numbers, which a dataset cannot hold")
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError) as error:
        raise BadOutput(_mixed(name, series) or f"column `{name}` cannot be kept: {error}") from None


def _mixed(name, series):
    first = None
    for row, value in enumerate(series):
        if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
            continue
        kind = type(value).__name__
        if first is None:
            first = kind
        elif kind != first:
            return f"column `{name}` mixes `{first}` and `{kind}` (row {row}); convert it with `.astype(...)`"
    return None


def _types(table):
    """Maps the types that a dataset does not have, or says which column has one."""
    for at, field in enumerate(table.schema):
        column, kind = table.column(at), field.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        wanted = _type(field.name, kind)
        if wanted != field.type:
            table = table.set_column(at, pa.field(field.name, wanted), column.cast(wanted))
    # What pandas left there for itself is no business of a dataset.
    return table.replace_schema_metadata(None)


def _type(name, kind):
    is_ = pa.types
    if is_.is_null(kind):
        return pa.string()
    if is_.is_float16(kind):
        return pa.float32()
    if is_.is_string_view(kind):
        return pa.large_string()
    if is_.is_binary_view(kind):
        return pa.large_binary()
    if is_.is_nested(kind):
        raise BadOutput(f"column `{name}` holds lists or structures (`{kind}`), which a dataset cannot hold; use `.explode`")
    if is_.is_duration(kind) or is_.is_interval(kind):
        raise BadOutput(f"column `{name}` holds durations, which a dataset cannot hold; use `.dt.total_seconds()`")
    if isinstance(kind, pa.BaseExtensionType):
        raise BadOutput(f"column `{name}` holds `{kind}`, which a dataset cannot hold")
    return kind

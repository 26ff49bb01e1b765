"""One run, in the child: the job and the inputs to frames, the user's function, and its end to a report."""

import gc
import inspect
import io
import json
import linecache
import mmap
import random
import sys
import traceback

import numpy as np
import polars as pl
import pyarrow as pa

import shirabe
import shirabe_frames
import shirabe_load

TEXT_MAX = 64 << 10
# Of errors that were raised while others were handled, so many are told.
ERRORS_MAX = 8
OUTPUT = 4


class MissingFunction(Exception):
    """The code does not define the function that is to be called."""


class OutputTooLarge(Exception):
    def __init__(self, byte_count, byte_count_max):
        super().__init__(byte_count)
        self.report = {"output_too_large": {"byte_count": byte_count, "byte_count_max": byte_count_max}}


def prepare(seed):
    """What has to be new in each run, for all of them are copies of one process."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    pl.set_random_seed(seed)
    # Line by line, so that they are seen while it runs.
    sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False))
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "replace", line_buffering=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "replace", line_buffering=True)


def run(job, inputs, output_bytes_max, tier, make_writable):
    """Runs a job of JSON on `inputs`, each the addresses and lengths of its pieces, and returns the report as JSON."""
    job = json.loads(job)
    # Given back when there is no memory left, so that there is some to say so. Nothing is ever in it.
    reserve = mmap.mmap(-1, 4 << 20)
    try:
        prepare(job["seed"])
        report = _run(job, inputs, output_bytes_max, make_writable)
        _flush()
    except shirabe_frames.BadOutput as error:
        report = {"bad_output": _cut(str(error))}
    except OutputTooLarge as error:
        report = error.report
    except MemoryError as error:
        reserve.close()
        traceback.clear_frames(error.__traceback__)
        gc.collect()
        report = {"out_of_memory": _error(error, job["file_name"], tier)}
    except BaseException as error:
        report = {"python_error": _error(error, job["file_name"], tier)}
    return json.dumps(report).encode()


def _nothing():
    """A job that does what all of them do, and the rows that it gets."""
    job = {
        "kind": "transform",
        "code": "import pandas as pd\ndef transform(inputs, params):\n    return inputs['t'].copy()\n",
        "file_name": "nothing.py",
        "entry": "transform",
        "params": {},
        "inputs": [{"id": "t", "alias": None}],
        "frames": "pandas",
        "seed": 0,
    }
    table = pa.table({"n": [1, 2], "x": [0.5, None], "s": ["a", "b"]})
    rows = pa.BufferOutputStream()
    shirabe_frames.write(table, rows)
    return json.dumps(job), rows.getvalue()


NOTHING = _nothing()


def run_nothing():
    """Runs it, before there is anything of a user. What it prints and returns goes nowhere."""
    job, rows = NOTHING
    report = run(job, [[(rows.address, rows.size)]], 1 << 20, "", lambda address, length: True)
    if b'"rows"' not in report:
        raise RuntimeError(report.decode())
    del sys.modules["__transform__"], linecache.cache["nothing.py"]


def _run(job, inputs, output_bytes_max, make_writable):
    entry = job["entry"]
    function = _function(job["code"], job["file_name"], entry)
    kind = _kind(function, job["frames"])
    frames = {}
    for name, pieces in zip(job["inputs"], inputs):
        frame = shirabe_frames.to_frame(shirabe_frames.read(pieces), kind, make_writable)
        frames[name["id"]] = frame
        if name["alias"] is not None:
            frames[name["alias"]] = frame
    if job["kind"] == "transform":
        result = _call(function, frames, job["params"])
        return _rows(result, entry, output_bytes_max)
    # One dataset, as the contract has it; several, by their names.
    dataset = next(iter(frames.values())) if len(job["inputs"]) == 1 else frames
    result = _call(function, dataset, job["filters"], job["params"])
    return _page(result, entry, min(output_bytes_max, job["html_bytes_max"]))


def _function(code, file_name, entry):
    linecache.cache[file_name] = (len(code), None, code.splitlines(keepends=True), file_name)
    module = type(sys)("__transform__")
    module.__dict__.update(__file__=file_name, HTMLResult=shirabe.HTMLResult)
    sys.modules[module.__name__] = module
    exec(compile(code, file_name, "exec", dont_inherit=True), module.__dict__)
    function = module.__dict__.get(entry)
    if not callable(function):
        raise MissingFunction(f"the code has no function `{entry}`")
    return function


def _call(function, *arguments):
    """With as many of the arguments as the function takes: one that needs no parameters may leave them out."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function(*arguments)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return function(*arguments)
    takes = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return function(*arguments[:takes])


def _kind(function, kind):
    """Which frames the annotation of the first parameter asks for."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):
        return kind
    if first is None or first.annotation is first.empty:
        return kind
    annotation = first.annotation if isinstance(first.annotation, str) else f"{first.annotation!r}"
    if "polars" in annotation or "pl." in annotation:
        return "polars"
    if "pyarrow" in annotation or "pa." in annotation:
        return "pyarrow"
    return kind


def _rows(result, entry, output_bytes_max):
    table = shirabe_frames.to_table(result, entry)
    if table.nbytes > output_bytes_max:
        raise OutputTooLarge(table.nbytes, output_bytes_max)
    try:
        with io.FileIO(OUTPUT, "w", closefd=False) as output, pa.PythonFile(output, "w") as sink:
            shirabe_frames.write(table, sink)
    except OSError as error:
        if error.errno == 27:
            raise OutputTooLarge(table.nbytes, output_bytes_max) from None
        raise
    return {"rows": {"row_count": table.num_rows, "column_count": table.num_columns}}


def _page(result, entry, html_bytes_max):
    if not isinstance(result, shirabe.HTMLResult):
        name = type(result).__name__
        raise shirabe_frames.BadOutput(f"`{entry}` returned `{name}`, expected `HTMLResult(html=...)`")
    if not isinstance(result.html, str):
        name = type(result.html).__name__
        raise shirabe_frames.BadOutput(f"the `html` of an `HTMLResult` is `{name}`, expected a string")
    page = result.html.encode("utf-8", "replace")
    if len(page) > html_bytes_max:
        raise OutputTooLarge(len(page), html_bytes_max)
    with io.FileIO(OUTPUT, "w", closefd=False) as output:
        view = memoryview(page)
        while view:
            view = view[output.write(view) :]
    return {
        "card": {
            "used_columns": _columns("used_columns", result.used_columns),
            "filter_applicable": _columns("filter_applicable", result.filter_applicable),
        }
    }


def _columns(what, columns):
    columns = [] if columns is None else columns
    if not isinstance(columns, (list, tuple, set)) or not all(isinstance(name, str) for name in columns):
        raise shirabe_frames.BadOutput(f"`{what}` is {columns!r:.200}, expected a list of column names")
    return sorted(columns) if isinstance(columns, set) else list(columns)


def _error(error, file_name, tier):
    """What happened, with the frames of the user's code only."""
    lines, line = [], None
    seen = set()
    chain = []
    current = error
    while current is not None and id(current) not in seen and len(chain) < ERRORS_MAX:
        seen.add(id(current))
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    for current in chain:
        # Told here one by one. Formatting one would otherwise walk through all that it came from.
        current.__context__ = current.__cause__ = None
    for current in reversed(chain):
        steps = traceback.walk_tb(current.__traceback__)
        own = [step for step in steps if step[0].f_code.co_filename == file_name]
        if lines:
            lines.append("\nDuring the handling of this, or because of it:\n\n")
        if own:
            lines.append("Traceback (most recent call last):\n")
            lines.extend(traceback.StackSummary.extract(own, capture_locals=False).format())
            line = own[-1][1]
        lines.extend(traceback.format_exception_only(current))
    if isinstance(error, SyntaxError) and error.filename == file_name:
        line = error.lineno
    return {
        "kind": _cut(type(error).__name__, 200),
        "message": _cut(_message(error, tier)),
        "traceback": _cut("".join(lines)),
        "line": line,
    }


def _message(error, tier):
    try:
        message = str(error)
    except BaseException:
        return "the exception has no message that can be read"
    if isinstance(error, SystemExit):
        return f"the code ended the run itself (`sys.exit({message})`)"
    if isinstance(error, ModuleNotFoundError):
        why = " that was loaded before the run" if tier == "C" else ""
        message += f"; code can import {shirabe_load.available()}, and what of Python's own library{why or ' there is'}"
    return message


def _cut(text, length=TEXT_MAX):
    # Half a surrogate cannot be written as JSON that others read.
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= length else text[: length // 2] + "\n…\n" + text[-length // 2 :]


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # User code put something else there, or closed it.
            continue

"""The same work without a sandbox: a plain interpreter with the libraries loaded, which runs a job again and again.

Arguments: the folder of `udfs/python`, a job as JSON, a file with an input or `-`, the rounds. Prints milliseconds.
"""

import mmap
import os
import struct
import sys
import time

folder, job, file, rounds = sys.argv[1:]
sys.path.insert(0, folder)

import shirabe_load  # noqa: E402

shirabe_load.load()

import pyarrow as pa  # noqa: E402
import shirabe_run  # noqa: E402

inputs = []
if file != "-":
    # As `udfs/wire/src/pieces.rs` has it. Each piece is mapped once, and can be changed without changing the file.
    with open(file, "rb") as opened:
        mark, count = struct.unpack("<8sQ", opened.read(16))
        assert mark == b"shirabe1"
        places = list(struct.iter_unpack("<QQ", opened.read(16 * count)))
        held = [mmap.mmap(opened.fileno(), length, access=mmap.ACCESS_COPY, offset=place) for place, length in places]
    inputs = [[(pa.py_buffer(piece).address, len(piece)) for piece in held]]
shirabe_run.prepare = lambda seed: None
for _ in range(int(rounds)):
    # A new one each time, as a run has it: writing into pages that are there already is another thing.
    shirabe_run.OUTPUT = os.memfd_create("output")
    begin = time.perf_counter()
    report = shirabe_run.run(job, inputs, 1 << 31, "bare", lambda address, length: True)
    print(1000 * (time.perf_counter() - begin), flush=True)
    assert b'"rows"' in report, report
    os.close(shirabe_run.OUTPUT)

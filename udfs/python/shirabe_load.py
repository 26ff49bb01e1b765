"""Loads what user code may import, once, before anything is forked.

Where no file can be opened after the fork, a module that is not loaded here cannot be loaded at all, and a font or a
script that a library keeps beside its code cannot be read. So both are loaded here.
"""

import contextlib
import gc
import importlib
import io
import os
import pathlib
import pkgutil
import sys
import types

# What the contract lets user code import, in the order in which they are loaded.
LIBRARIES = ["numpy", "pyarrow", "pandas", "polars", "matplotlib", "seaborn", "sklearn", "plotly"]

# What of the standard library people use, beyond what the libraries load.
STANDARD = """
abc array base64 bisect calendar cmath collections.abc colorsys concurrent.futures contextlib copy csv dataclasses
datetime decimal difflib encodings.cp932 encodings.euc_jp encodings.idna encodings.latin_1 encodings.shift_jis
encodings.utf_16 encodings.utf_8_sig enum fractions functools graphlib gzip hashlib heapq hmac html html.parser
inspect io itertools json keyword locale logging math numbers operator pickle pprint random re secrets sqlite3
statistics string struct textwrap threading time timeit tokenize traceback typing unicodedata urllib.parse uuid
warnings xml.etree.ElementTree zipfile zlib zoneinfo
""".split()

# Packages of which every part is loaded, but for those that one of these words names.
WHOLE = ["pandas", "polars", "pyarrow", "plotly", "numpy", "matplotlib", "seaborn", "sklearn", "narwhals"]
NOT_NEEDED = """
this tests test conftest testing _testing setup f2py distutils benchmark _pyinstaller cuda flight gandiva orc fs _fs _s3fs
_gcsfs _hdfs _azurefs _dataset _dataset_orc _dataset_parquet_encryption dataset substrait _substrait jvm cffi ml_stub
plasma interchange_ db sqlframe ibis duckdb pyspark dask modin cudf _ibis _duckdb _spark_like _dask _interchange
__main__ backends sphinxext tkagg lib2to3 datasets externals figure_factory jupyter_labextension labextension
array_api_compat _array_api_compat_vendor animation experimental pyodide typing_extensions _typing_extensions
""".split()
# Parts of packages that are needed though a word above names them.
NEEDED = """
matplotlib.backends.backend_agg matplotlib.backends.backend_svg matplotlib.backends.registry sklearn.datasets
sklearn.externals._packaging.version sklearn.externals.array_api_compat sklearn.externals.array_api_extra
scipy.stats scipy.signal scipy.optimize scipy.interpolate scipy.cluster.hierarchy scipy.spatial.distance
dateutil.parser dateutil.relativedelta dateutil.tz PIL.Image PIL.PngImagePlugin
""".split()


def load():
    """Loads all, and returns the libraries with their versions."""
    with _folders_taken_as_they_are():
        for name in LIBRARIES + STANDARD + NEEDED:
            _import(name)
    _use_one_thread()
    for name in WHOLE:
        _whole(sys.modules[name])
    _fonts()
    _plotly()
    _warm()
    _no_files_to_write()
    gc.collect()
    gc.freeze()
    return [f"{name} {sys.modules[name].__version__}" for name in LIBRARIES]


def available():
    """What user code can import, in words."""
    return ", ".join("scikit-learn (sklearn)" if name == "sklearn" else name for name in sorted(LIBRARIES))


def _import(name):
    try:
        importlib.import_module(name)
    except ImportError:
        # A library of the contract has to be there. What else there is depends on the versions of these.
        if name in LIBRARIES:
            raise


@contextlib.contextmanager
def _folders_taken_as_they_are():
    """Keeps matplotlib from making a folder of its own where it may not write: it only has to read what is there."""
    access = os.access
    os.access = lambda *arguments, **settings: True
    try:
        yield
    finally:
        os.access = access


def _whole(package):
    for part in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        word = part.name.rpartition(".")[2]
        if word in NOT_NEEDED or word.startswith("test_"):
            continue
        try:
            module = importlib.import_module(part.name)
        except Exception:
            # It needs a library that the contract does not have.
            continue
        if part.ispkg:
            _whole(module)


def _use_one_thread():
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)


def _fonts():
    """Lets matplotlib read its own fonts from memory, and no others: what a page looks like depends on no machine."""
    from matplotlib import _mathtext, font_manager, ft2font

    folder = pathlib.Path(font_manager.__file__).parent / "mpl-data" / "fonts"
    fonts = {str(path): path.read_bytes() for path in sorted(folder.glob("ttf/*.ttf"))}

    def held_font(path):
        # A path of matplotlib's is a text that equals no other text.
        return fonts.get("".join(os.fspath(path)))

    def open_font(path, *arguments, **settings):
        held = held_font(path)
        return ft2font.FT2Font(path if held is None else io.BytesIO(held), *arguments, **settings)

    held = types.SimpleNamespace(**vars(ft2font))
    held.FT2Font = open_font
    font_manager.ft2font = held
    # Both ask first whether the file is there.
    there = types.SimpleNamespace(**vars(os))
    there.path = types.SimpleNamespace(**vars(os.path))
    there.path.exists = lambda path: held_font(path) is not None or os.path.exists(path)
    there.path.isfile = lambda path: held_font(path) is not None or os.path.isfile(path)
    font_manager.os = _mathtext.os = there


def _plotly():
    """Keeps plotly's script and templates in memory."""
    import plotly.io
    from plotly.io import _base_renderers, _html
    from plotly.offline import offline

    script = offline.get_plotlyjs()
    for module in (offline, _html, _base_renderers):
        module.get_plotlyjs = lambda: script
    for name in list(plotly.io.templates):
        plotly.io.templates[name]


def _warm():
    """Does once what libraries do at their first use. Nothing here may start a thread."""
    import datetime
    import zoneinfo

    import joblib
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    import plotly.express as px
    import pyarrow as pa
    from sklearn.utils import parallel

    # Both look into /proc and remember what they found.
    parallel._get_threadpool_controller()
    joblib.cpu_count(only_physical_cores=True)
    for zone in ("UTC", "Asia/Tokyo", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles"):
        datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo(zone))
        pd.Timestamp("2024-01-01", tz=zone)
        pa.array([0], pa.timestamp("us", zone)).cast(pa.string())
    frame = pd.DataFrame({"a": [1, 2, 2], "b": ["x", "y", None], "c": [0.5, np.nan, 1.5]})
    frame.merge(frame[["a"]], on="a").groupby("b").c.sum()
    frame.pivot_table(index="a", columns="b", values="c")
    frame.to_html()
    frame.describe(include="all")
    repr(frame)
    px.bar(frame, x="b", y="c").to_html(full_html=False)
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    for fonts in ("cm", "stix", "stixsans", "dejavuserif", "dejavusans"):
        with plt.rc_context({"mathtext.fontset": fonts}):
            axes.set_title(r"$x^2 \alpha \mathbf{x} \mathcal{L} \sum$")
            figure.savefig(io.BytesIO(), format="png")
    figure.savefig(io.StringIO(), format="svg")
    plt.close(figure)


def _no_files_to_write():
    sys.dont_write_bytecode = True

//! The libraries of the contract do their work on each tier: the list of calls is long enough.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;

use crate::support::{Run, TIERS};

#[track_caller]
fn counts(name: &str, code: &str, expected: i64) {
    for tier in TIERS {
        let got = Run::transform(tier, code).rows();
        let count = got.column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count, expected, "{name} on tier {tier}");
    }
}

#[test]
fn pandas() {
    counts(
        "merge, groupby, pivot",
        "
import pandas as pd
def transform(inputs, params):
    frame = pd.DataFrame({'a': [1, 2, 2], 'b': ['x', 'y', 'y'], 'c': [1.0, 2.0, 3.0], 't': pd.date_range('2024', periods=3, tz='Asia/Tokyo')})
    joined = frame.merge(frame, on='a', suffixes=('', '_2')).sort_values('c')
    grouped = joined.groupby(['a', 'b'], as_index=False).agg(total=('c', 'sum'), last=('t', 'max'))
    wide = frame.pivot_table(index='a', columns='b', values='c', aggfunc='sum').reset_index()
    text = frame.to_html() + frame.to_csv() + frame.to_json() + frame.describe().to_string() + repr(frame.t.dt.strftime('%Y'))
    rolled = frame.set_index('t').c.rolling('2D').mean().resample('D').sum()
    assert text and len(rolled) == 3 and frame.query('c > 1').eval('d = c * 2').d.sum() == 10
    return pd.DataFrame({'n': [len(joined) + len(grouped) + len(wide)]})",
        9,
    );
}

#[test]
fn polars() {
    counts(
        "lazy, join, group_by, sql",
        "
import polars as pl
def transform(inputs, params):
    frame = pl.DataFrame({'a': [1, 2, 2], 'b': ['x', 'y', 'y'], 'c': [1.0, 2.0, 3.0]})
    joined = frame.lazy().join(frame.lazy(), on='a').group_by('b').agg(pl.col('c').sum()).sort('b').collect()
    wide = frame.pivot('b', index='a', values='c', aggregate_function='sum')
    asked = pl.SQLContext(t=frame).execute('SELECT b, count(*) AS n FROM t GROUP BY b', eager=True)
    assert frame.with_columns(pl.col('b').str.to_uppercase(), d=pl.col('c').rolling_mean(2)).height == 3 and str(frame)
    return pl.DataFrame({'n': [joined.height + wide.height + asked.height]})",
        6,
    );
}

#[test]
fn plotly() {
    counts(
        "HTML",
        "
import pandas as pd, plotly.express as px, plotly.graph_objects as go
def transform(inputs, params):
    frame = pd.DataFrame({'a': [1, 2, 3], 'b': [3, 1, 2], 'c': ['x', 'y', 'x']})
    pages = [px.line(frame, x='a', y='b', color='c', template='plotly_dark').to_html(), px.histogram(frame, x='b').to_html(full_html=False, include_plotlyjs=True)]
    pages.append(go.Figure(go.Pie(labels=['a', 'b'], values=[1, 2])).to_html(include_plotlyjs=False))
    assert len(pages[0]) > 1_000_000
    return pd.DataFrame({'n': [len(pages)]})",
        3,
    );
}

#[test]
fn matplotlib_and_seaborn() {
    counts(
        "PNG and SVG",
        "
import io
import matplotlib.pyplot as plt, pandas as pd, seaborn as sns
def transform(inputs, params):
    frame = pd.DataFrame({'a': [1, 2, 3, 4], 'b': [3, 1, 2, 5], 'c': ['x', 'y', 'x', 'y']})
    kinds = []
    for draw in (lambda ax: sns.barplot(frame, x='c', y='b', ax=ax), lambda ax: sns.heatmap(frame[['a', 'b']].corr(), annot=True, ax=ax), lambda ax: frame.plot(x='a', y='b', ax=ax, title='$\\\\alpha$ and bold', legend=True)):
        figure, ax = plt.subplots()
        draw(ax)
        file = io.BytesIO()
        figure.savefig(file, format='png', bbox_inches='tight')
        kinds.append(file.getvalue()[:4])
        figure.savefig(io.StringIO(), format='svg')
        plt.close(figure)
    return pd.DataFrame({'n': [kinds.count(b'\\x89PNG')]})",
        3,
    );
}

#[test]
fn scikit_learn() {
    counts(
        "fit and predict",
        "
import numpy as np, pandas as pd
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
def transform(inputs, params):
    x = np.random.rand(60, 3)
    y = (x[:, 0] > 0.5).astype(int)
    fits = [LinearRegression().fit(x, y), make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y), RandomForestClassifier(5).fit(x, y), KMeans(2, n_init=1).fit(x), HistGradientBoostingRegressor(max_iter=3).fit(x, y)]
    assert len(cross_val_score(LogisticRegression(), x, y)) == 5 and OneHotEncoder().fit_transform([['a'], ['b']]).shape == (2, 2)
    train_test_split(x, y)
    return pd.DataFrame({'n': [sum(len(fit.predict(x)) for fit in fits)]})",
        300,
    );
}

#[test]
fn the_standard_library() {
    counts(
        "what people use of it",
        "
import collections, concurrent.futures, csv, datetime, decimal, io, json, re, statistics, tempfile, unicodedata, zlib, zoneinfo
import pyarrow as pa, pyarrow.compute as pc
def transform(inputs, params):
    rows = list(csv.reader(io.StringIO('a,b\\n1,2\\n')))
    day = datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo('Asia/Tokyo')).isoformat()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        squares = list(pool.map(lambda n: n * n, range(10)))
    assert day.endswith('+09:00') and unicodedata.normalize('NFKC', 'ﾃｽﾄ') == 'テスト' and 'テスト'.encode('cp932').decode('shift_jis')
    assert json.loads(json.dumps({'a': [1]})) and decimal.Decimal('0.1') * 3 == decimal.Decimal('0.3') and zlib.decompress(zlib.compress(b'a')) == b'a'
    return pa.table({'n': [sum(squares) + len(rows) + pc.sum(pa.array([1, 2])).as_py()]})",
        290,
    );
}

#[test]
fn temporary_files_work_where_there_is_a_folder() {
    let code = "
import tempfile, pandas as pd
def transform(inputs, params):
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame({'n': [1, 2]})
        frame.to_parquet(folder + '/x.parquet')
        return pd.read_parquet(folder + '/x.parquet')";
    assert_eq!(Run::transform(shirabe_wire::Tier::A, code).rows().num_rows(), 2);
    assert!(
        ["FileNotFoundError", "PermissionError"]
            .contains(&&*Run::transform(shirabe_wire::Tier::C, code).raises().kind)
    );
}

//! What user code meets, and what may come back: types, names, errors.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use shirabe_wire::host::{Answer, Failure};
use shirabe_wire::{Frames, Tier};

use crate::support::{Run, TIERS};

fn batch() -> RecordBatch {
    let money =
        Decimal128Array::from(vec![Some(12_345), None, Some(-1)]).with_precision_and_scale(12, 2).unwrap();
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![1, 2, i64::MAX])) as ArrayRef),
        ("gaps", Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(-5)]))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(1.5)]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("text", Arc::new(StringArray::from(vec![Some("東京"), None, Some("")]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_000), None, Some(0)]))),
        ("money", Arc::new(money)),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1), None, Some(2)]).with_timezone("Asia/Tokyo"),
            ),
        ),
    ])
    .unwrap()
}

#[test]
fn rows_pass_through_unchanged_in_every_kind_of_frame() {
    for frames in [Frames::Pandas, Frames::PandasArrow, Frames::Polars, Frames::Pyarrow] {
        for tier in TIERS {
            let code = "def transform(inputs, params):\n    return inputs['ds_1']\n";
            let got = Run::transform(tier, code).input("ds_1", None, &batch()).frames(frames).rows();
            let streamed = Run::transform(tier, code).streamed_input("ds_1", None, &batch());
            assert_eq!(streamed.frames(frames).rows(), got, "{frames:?}");
            assert_eq!(got.num_rows(), 3, "{frames:?}");
            for (name, column) in batch().schema().fields().iter().zip(batch().columns()) {
                let came = got.column_by_name(name.name()).unwrap();
                assert_eq!(came.null_count(), column.null_count(), "{frames:?} {name}");
            }
            let exact = got.column_by_name("gaps").unwrap().as_primitive::<Int64Type>();
            assert_eq!(exact.value(0), i64::MAX, "{frames:?}");
            let money = got.column_by_name("money").unwrap().as_primitive::<Decimal128Type>();
            assert_eq!(money.value(0), 12_345, "{frames:?}");
            assert_eq!(
                got.schema().field_with_name("day").unwrap().data_type(),
                &DataType::Date32,
                "{frames:?}"
            );
            let at = got.schema().field_with_name("at").unwrap().data_type().clone();
            assert!(matches!(&at, DataType::Timestamp(_, Some(zone)) if &**zone == "Asia/Tokyo"), "{at:?}");
        }
    }
}

#[test]
fn the_first_parameter_says_which_frames() {
    check("inputs", "pandas.DataFrame");
    check("inputs: dict[str, pd.DataFrame]", "pandas.DataFrame");
    check("inputs: dict[str, pl.DataFrame]", "polars.dataframe.frame.DataFrame");
    check("inputs: 'dict[str, pl.DataFrame]'", "polars.dataframe.frame.DataFrame");
    check("inputs: dict[str, pa.Table]", "pyarrow.lib.Table");

    #[track_caller]
    fn check(parameter: &str, expected: &str) {
        let code = format!(
            "import pandas as pd, polars as pl, pyarrow as pa
def transform({parameter}, params):
    kind = type(inputs['orders'])
    return pa.table({{'kind': [kind.__module__ + '.' + kind.__name__]}})"
        );
        let got = Run::transform(Tier::B, &code).input("ds_1", Some("orders"), &batch()).rows();
        assert_eq!(got.column(0).as_string::<i32>().value(0), expected);
    }
}

#[test]
fn an_input_is_found_by_id_and_by_alias_and_cannot_be_changed() {
    let code = "
def transform(inputs, params):
    assert inputs['ds_1'] is inputs['orders'] and list(inputs) == ['ds_1', 'orders', 'ds_2'], list(inputs)
    assert params == {'rate': 2}
    table = inputs['ds_2']
    return inputs['orders'][['n']].head(1) * params['rate']";
    let mut run = Run::transform(Tier::A, code);
    run.job.params = serde_json::json!({ "rate": 2 });
    let mut run = run.input("ds_1", Some("orders"), &batch()).input("ds_2", None, &batch());
    assert_eq!(run.rows().column(0).as_primitive::<Int64Type>().value(0), 2);
    // The memory of an input is mapped to read only, whatever numpy is told.
    let code = "
import ctypes
def transform(inputs, params):
    buffer = inputs['ds_1'].column('n').chunk(0).buffers()[1]
    ctypes.memset(buffer.address, 0, 8)";
    let mut run = Run::transform(Tier::A, code).input("ds_1", None, &batch()).frames(Frames::Pyarrow);
    assert!(matches!(run.fails(), Failure::Crashed { signal: 11 }));
}

#[test]
fn a_frame_of_pandas_can_be_changed_in_place_and_nobody_else_sees_it() {
    let code = "
def transform(inputs, params):
    frame = inputs['ds_1']
    before = int(frame.loc[0, 'n'])
    frame.loc[0, 'n'] = 7
    frame.iloc[2, 0] -= before
    frame.loc[frame['n'] > 100, 'n'] = 9
    return frame[['n']]";
    for tier in TIERS {
        let mut run = Run::transform(tier, code).input("ds_1", None, &batch());
        for _ in 0..2 {
            let got = run.rows();
            let numbers = got.column(0).as_primitive::<Int64Type>();
            assert_eq!(numbers.values()[..], [7, 2, 9], "{tier}: the second run sees what the first one saw");
        }
    }
}

/// Frames of pandas on the memory of an input take as much of the run's memory as a copy of it.
#[test]
fn an_input_that_can_be_changed_counts_towards_the_limit_of_memory() {
    let numbers = Arc::new(Int64Array::from_iter_values(0..40 << 20)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let code = "
import pandas as pd
def transform(inputs, params):
    frame = inputs['ds_1']
    frame.loc[:, 'n'] = 1
    kept = b'x' * (params['more'] << 20)
    return pd.DataFrame({'n': [int(frame['n'].sum())]})";
    for tier in TIERS {
        let mut run = Run::transform(tier, code).input("ds_1", None, &batch);
        run.limits.memory_bytes_max = 500 << 20;
        run.job.params = serde_json::json!({ "more": 1 });
        assert_eq!(run.rows().column(0).as_primitive::<Int64Type>().value(0), 40 << 20, "{tier}");
        run.job.params = serde_json::json!({ "more": 200 });
        assert!(matches!(run.fails(), Failure::OutOfMemory { .. }), "{tier}");
    }
}

#[test]
fn types_of_pandas_are_mapped() {
    check("pd.Series(['a', None, 'a'], dtype='category')", &[DataType::LargeUtf8, DataType::Utf8]);
    check("pd.Series([1, None], dtype='Int64')", &[DataType::Int64]);
    check("pd.Series([True, None], dtype='boolean')", &[DataType::Boolean]);
    check("pd.Series([None, None])", &[DataType::Utf8]);
    check("pd.Series([1.5], dtype='float16')", &[DataType::Float32]);
    check("pd.Series([1, 0], dtype=pd.SparseDtype('int64', 0))", &[DataType::Int64]);
    check("pd.Series([__import__('decimal').Decimal('1.50')])", &[DataType::Decimal128(3, 2)]);
    check("pd.Series([__import__('datetime').date(2024, 1, 1)])", &[DataType::Date32]);

    #[track_caller]
    fn check(series: &str, expected: &[DataType]) {
        let code = format!(
            "import pandas as pd\ndef transform(inputs, params):\n    return pd.DataFrame({{'c': {series}}})"
        );
        let got = Run::transform(Tier::C, &code).rows();
        let kind = got.schema().field(0).data_type().clone();
        assert!(expected.contains(&kind), "{series}: {kind}");
    }
}

#[test]
fn what_is_no_frame_is_refused_by_name() {
    check("None", "is a `return` missing?");
    check("5", "returned `int`");
    check("pd.Series([1])", "returned a Series");
    check("pd.DataFrame()", "no columns");
    check("pd.DataFrame({1: [1]})", "column name 1 is of type `int`");
    check("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "more than one column `a`");
    check("pd.DataFrame({('a', 'b'): [1]})", "more than one level");
    check("pd.DataFrame({'a': [1, 'x']})", "column `a` mixes `int` and `str` (row 1)");
    check("pd.DataFrame({'a': [[1], [2]]})", "column `a` holds lists");
    check("pd.DataFrame({'a': [{'b': 1}]})", "column `a` holds lists or structures");
    check("pd.DataFrame({'a': pd.to_timedelta([1])})", "column `a` holds durations");
    check(
        "pd.DataFrame({'a': pd.period_range('2024', periods=1, freq='M')})",
        "column `a` holds `period[M]`",
    );
    check("pd.DataFrame({'a': [1j]})", "column `a` holds complex");
    check("pl.DataFrame({'a': [[1]]})", "column `a` holds lists");

    #[track_caller]
    fn check(returned: &str, expected: &str) {
        let code = format!(
            "import pandas as pd, polars as pl\ndef transform(inputs, params):\n    return {returned}"
        );
        match Run::transform(Tier::C, &code).fails() {
            Failure::BadOutput(reason) => assert!(reason.contains(expected), "{returned}: {reason}"),
            other => panic!("{returned}: {other:?}"),
        }
    }
}

#[test]
fn a_named_index_becomes_columns() {
    let code = "
import pandas as pd
def transform(inputs, params):
    return pd.DataFrame({'city': ['a', 'a', 'b'], 'n': [1, 2, 3]}).groupby('city').sum()";
    let got = Run::transform(Tier::A, code).rows();
    let names: Vec<String> = got.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["city", "n"]);
    let empty = "import pandas as pd\ndef transform(i, p):\n    return pd.DataFrame({'n': pd.Series([], dtype='int64')})";
    assert_eq!(Run::transform(Tier::A, empty).rows().num_rows(), 0);
}

#[test]
fn errors_show_the_authors_lines_only() {
    let code = "import pandas as pd\n\ndef transform(inputs, params):\n    return helper({})\n\ndef helper(d):\n    return pd.DataFrame({'a': [1]})['b']\n";
    let error = Run::transform(Tier::C, code).raises();
    assert_eq!((error.kind.as_str(), error.line), ("KeyError", Some(7)));
    assert!(error.traceback.contains("return pd.DataFrame({'a': [1]})['b']"), "{}", error.traceback);
    assert!(
        !error.traceback.contains("site-packages") && !error.traceback.contains("shirabe_run"),
        "{}",
        error.traceback
    );

    let error = Run::transform(Tier::C, "def transform(inputs, params):\n    return (\n").raises();
    assert_eq!((error.kind.as_str(), error.line), ("SyntaxError", Some(2)));
    let error = Run::transform(Tier::C, "def other(inputs, params):\n    pass\n").raises();
    assert_eq!(error.kind, "MissingFunction");
    assert!(error.message.contains("`transform`"), "{}", error.message);
    for tier in TIERS {
        let error = Run::transform(tier, "import requests\ndef transform(i, p):\n    pass\n").raises();
        assert_eq!((error.kind.as_str(), error.line), ("ModuleNotFoundError", Some(1)));
        assert!(
            error.message.contains("polars") && error.message.contains("scikit-learn"),
            "{}",
            error.message
        );
    }
}

#[test]
fn lines_come_while_it_runs_and_are_cut() {
    let code = "import sys\ndef transform(i, p):\n    print('one')\n    print('two', file=sys.stderr)\n    raise ValueError('x')";
    let mut run = Run::transform(Tier::A, code);
    assert_eq!(run.raises().kind, "ValueError");
    assert_eq!(run.log, ["one", "two"]);
    let mut run = Run::transform(Tier::A, "def transform(i, p):\n    print('x' * 1000)\n    return None");
    run.limits.log_bytes_max = 10;
    let finished = run.on(&crate::support::zygote(), None);
    assert!(finished.log_was_cut);
    assert_eq!(run.log, ["xxxxxxxxxx"]);
}

#[test]
fn a_card_gives_a_page() {
    let code = "
def render(dataset, filters, params):
    return HTMLResult(html=f'<b>{len(dataset)} {filters[\"city\"]}</b>', used_columns=['n'], filter_applicable=['text'])";
    let mut run = Run::card(Tier::C, code).input("ds_1", None, &batch());
    run.job.filters = serde_json::json!({ "city": "Oslo" });
    match run.result() {
        Ok(Answer::Card { html, report }) => {
            assert_eq!(html, "<b>3 Oslo</b>");
            assert_eq!(
                (report.used_columns, report.filter_applicable),
                (vec!["n".to_owned()], vec!["text".to_owned()])
            );
        }
        other => panic!("{other:?}"),
    }
    let wrong = Run::card(Tier::C, "def render(dataset, filters, params):\n    return '<b>'")
        .input("ds_1", None, &batch())
        .fails();
    assert!(
        matches!(&wrong, Failure::BadOutput(reason) if reason.contains("`str`, expected `HTMLResult")),
        "{wrong:?}"
    );
}

#[test]
fn runs_draw_different_numbers_and_the_same_run_the_same() {
    let code = "
import random
import numpy as np, polars as pl
def transform(i, p):
    return pl.DataFrame({'n': [random.random(), np.random.rand()]})";
    let draw = |seed| {
        let mut run = Run::transform(Tier::B, code);
        run.job.seed = seed;
        run.rows()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

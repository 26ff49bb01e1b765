//! Rows in and out.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use futures::{StreamExt as _, TryStreamExt as _};
use shirabe::error::{Code, Error};
use shirabe::executor::{Executor, Frames, Output, PythonRun};

use super::{PASS, error_of, rows_of, small, transform, transform_of, with_frames};

/// Every type that a dataset can hold, with NULL and the ends of its range.
fn all_types() -> RecordBatch {
    let money = Decimal128Array::from(vec![Some(i128::from(i64::MAX)), None, Some(-1)]);
    let money = money.with_precision_and_scale(38, 2).unwrap();
    let at = TimestampMicrosecondArray::from(vec![Some(1), None, Some(1_700_000_000_000_000)]);
    RecordBatch::try_from_iter([
        ("small", Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)])) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("u", Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)]))),
        ("single", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::MAX)]))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY)]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("text", Arc::new(StringArray::from(vec![Some("東京\n\"a\""), None, Some("")]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(b"")]))),
        ("day", Arc::new(Date32Array::from(vec![Some(-719_162), None, Some(2_932_896)]))),
        ("wall", Arc::new(at.clone())),
        ("moment", Arc::new(at.with_timezone("Asia/Tokyo"))),
        ("money", Arc::new(money)),
    ])
    .unwrap()
}

pub(super) async fn pass_through_exactly(executor: &Executor) {
    let sent = all_types();
    // Arrow's memory is handed through as it is.
    let run = with_frames(transform_of(PASS, std::slice::from_ref(&sent)), Frames::Pyarrow);
    let ran = executor.run(run).await;
    assert!(ran.usage.input_bytes > 500 && ran.usage.output_bytes > 500, "{:?}", ran.usage);
    assert!(ran.usage.sandbox_tier.is_some() && ran.usage.memory_peak_bytes > 0, "{:?}", ran.usage);
    let got = rows_of(ran).await;
    assert_eq!(got.columns(), sent.columns());
    assert!(got.schema().fields().iter().zip(sent.schema().fields()).all(|(a, b)| a.name() == b.name()));
    for frames in [Frames::Pandas, Frames::PandasArrow, Frames::Polars] {
        let run = with_frames(transform_of(PASS, std::slice::from_ref(&sent)), frames);
        let got = rows_of(executor.run(run).await).await;
        for (at, field) in sent.schema().fields().iter().enumerate() {
            // Frames have their own widths of text; the values are the same.
            let came = arrow::compute::cast(got.column(at), field.data_type()).unwrap();
            assert_eq!(
                &came,
                sent.column(at),
                "{frames:?}: `{}` came as {}",
                field.name(),
                got.column(at).data_type()
            );
        }
    }
}

pub(super) async fn come_in_plain_and_in_any_frame(executor: &Executor) {
    let kinds: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    let views =
        StringViewArray::from(vec![Some("a text that is longer than a view holds"), None, Some("short")]);
    let batch = RecordBatch::try_from_iter([
        ("kind", Arc::new(kinds) as ArrayRef),
        ("view", Arc::new(views)),
        ("zone", Arc::clone(all_types().column_by_name("moment").unwrap())),
    ])
    .unwrap();
    let code = "
import pandas as pd
def transform(inputs, params):
    t = inputs['t']
    assert inputs['ds_0123456789ab'] is t
    kinds = [str(t[name].dtype) for name in t.columns]
    t['category'] = t['kind'].astype('category')
    t['whole'] = pd.array([1, None, 3], dtype='Int64')
    t['kinds'] = ' '.join(kinds)
    return t
";
    let got = rows_of(executor.run(transform_of(code, &[batch])).await).await;
    let text = |name: &str| arrow::compute::cast(got.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    assert_eq!(text("kinds").as_string::<i32>().value(0), "str str datetime64[us, Asia/Tokyo]");
    let kinds = text("category");
    assert_eq!(kinds.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None, Some("a")]);
    let whole = got.column_by_name("whole").unwrap().as_primitive::<Int64Type>();
    assert_eq!(whole.iter().collect::<Vec<_>>(), [Some(1), None, Some(3)]);
    let annotated = "
import polars as pl
def transform(inputs: dict[str, pl.DataFrame], params):
    return inputs['t'].select(pl.col('n').sum())
";
    let got = rows_of(executor.run(transform_of(annotated, &[small()])).await).await;
    assert_eq!(got.column(0).as_primitive::<Int64Type>().values(), &[4]);
}

pub(super) async fn that_no_dataset_can_hold_are_refused(executor: &Executor) {
    let returning =
        |value: &str| format!("import pandas as pd\ndef transform(inputs, params):\n    return {value}\n");
    for (value, expected) in [
        ("None", "returned None, expected a DataFrame"),
        ("[1, 2]", "returned `list`, expected a DataFrame"),
        ("pd.DataFrame()", "has no columns"),
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "more than one column `a`"),
        ("pd.DataFrame({1: [1]})", "expected a string"),
        ("pd.DataFrame({'a': [1, 'x']})", "column `a` mixes `int` and `str` (row 1)"),
        ("pd.DataFrame({'a': [[1], [2]]})", "column `a` holds lists"),
        ("pd.DataFrame({'a': [1j]})", "complex"),
    ] {
        let error = error_of(executor.run(transform(&returning(value))).await);
        assert_eq!(error.code(), Code::ExecutionError, "{value}: {error}");
        assert!(error.to_string().contains(expected), "{value}: {error}");
    }
    // An empty frame with columns is a table without rows.
    let empty = returning("pd.DataFrame({'a': pd.Series([], dtype='int64')})");
    assert_eq!(rows_of(executor.run(transform(&empty)).await).await.num_rows(), 0);
}

/// Ten million rows, and a column of wide text beside narrow ones.
pub(super) async fn of_many_batches_pass(executor: &Executor) {
    let code = "
import numpy as np
import pyarrow as pa
def transform(inputs, params):
    return pa.table({'n': np.arange(10_000_000)})
";
    let ran = executor.run(transform(code)).await;
    let Ok(Output::Rows { row_count, mut rows, .. }) = ran.result else { panic!("{:?}", ran.result) };
    assert_eq!((row_count, ran.usage.output_bytes >= 80_000_000), (10_000_000, true));
    let mut next = 0;
    while let Some(batch) = rows.try_next().await.unwrap() {
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        assert!(numbers.values().iter().zip(next..).all(|(n, expected)| *n == expected));
        next += numbers.len() as i64;
    }
    assert_eq!(next, 10_000_000);

    let wide = "
import pyarrow as pa
def transform(inputs, params):
    return pa.table({'text': ['x' * 20_000] * 3_000 + ['y'] * 100_000})
";
    let ran = executor.run(transform(wide)).await;
    let Ok(Output::Rows { row_count, rows, .. }) = ran.result else { panic!("{:?}", ran.result) };
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, row_count);
    assert!(batches.len() > 1, "wide rows come in parts");

    // Inputs of many batches, small and large.
    let numbers = |from: i64, to: i64| {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(from..to)) as ArrayRef)])
            .unwrap()
    };
    let batches = [numbers(0, 1), numbers(1, 1), numbers(1, 200_000), numbers(200_000, 200_100)];
    let sum = "def transform(inputs, params):\n    return inputs['t'][['n']].sum().to_frame().T\n";
    let got = rows_of(executor.run(transform_of(sum, &batches)).await).await;
    assert_eq!(got.column(0).as_primitive::<Int64Type>().values(), &[(0..200_100).sum::<i64>()]);
}

pub(super) async fn that_do_not_fit_are_refused(executor: &Executor) {
    let text = Arc::new(StringArray::from(vec!["x".repeat(1 << 20); 64])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("text", text)]).unwrap();
    let mut large = transform_of(PASS, &[batch.clone(), batch]);
    large.limits.memory_bytes_max = 128 << 20;
    let error = error_of(executor.run(large).await);
    assert_eq!(error.code(), Code::OverLimit);
    assert!(error.to_string().contains("the inputs take more memory"), "{error}");

    let mut large = transform(
        "
import numpy as np
import pyarrow as pa
def transform(inputs, params):
    return pa.table({'n': np.arange(1_000_000)})
",
    );
    large.limits.output_bytes_max = 4 << 20;
    let error = error_of(executor.run(large).await);
    assert_eq!(error.code(), Code::OverLimit);
    assert!(error.to_string().contains("the result is larger than 4 MiB"), "{error}");
}

/// Whose name they have is enough; what a run does to its own is not seen by the next one.
pub(super) async fn that_stay_the_same_are_read_once(executor: &Executor) {
    let code = "
def transform(inputs, params):
    frame = inputs['t']
    frame.loc[:, 'n'] = frame['n'] * 10
    return frame[['n']]
";
    let numbers = |numbers: [i64; 3]| {
        let column: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
    };
    let named = |mut run: PythonRun, name: &str| {
        run.inputs[0].same = Some(blake3::hash(name.as_bytes()));
        run
    };
    // Its rows fail when they are asked for.
    let unread = || {
        let mut run = transform_of(code, &[numbers([0; 3])]);
        let failing = futures::stream::iter([Err(Error::invalid("they were asked for"))]);
        run.inputs[0].rows = failing.boxed();
        run
    };
    let first = named(transform_of(code, &[numbers([1, 2, 3])]), "a");
    assert_eq!(rows_of(executor.run(first).await).await, numbers([10, 20, 30]));
    for _ in 0..2 {
        let ran = executor.run(named(unread(), "a")).await;
        assert!(ran.usage.input_bytes > 0, "{:?}", ran.usage);
        assert_eq!(rows_of(ran).await, numbers([10, 20, 30]));
    }
    for run in [named(unread(), "b"), named(unread(), "b"), unread()] {
        assert!(error_of(executor.run(run).await).to_string().contains("they were asked for"));
    }
    let other = named(transform_of(code, &[numbers([4, 5, 6])]), "b");
    assert_eq!(rows_of(executor.run(other).await).await, numbers([40, 50, 60]));

    // One that has no memory for them does not get them.
    let text = Arc::new(StringArray::from(vec!["x".repeat(1 << 20); 64])) as ArrayRef;
    let text = RecordBatch::try_from_iter([("text", text)]).unwrap();
    let mut run = named(transform_of(PASS, &[text]), "c");
    run.limits.output_bytes_max = 1 << 30;
    assert_eq!(rows_of(executor.run(run).await).await.num_rows(), 64);
    let mut run = named(unread(), "c");
    run.limits.memory_bytes_max = 64 << 20;
    assert_eq!(error_of(executor.run(run).await).code(), Code::OverLimit);
}

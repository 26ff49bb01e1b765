//! What the formats write, that they agree, and how they end.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::ipc::reader::StreamReader;
use futures::TryStreamExt as _;
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn options() -> Options {
    Options {
        query_id: Some("q_1".to_owned()),
        request_id: "req_1".to_owned(),
        formula_guard: true,
        type_name: |data_type| data_type.to_string().to_lowercase(),
    }
}

fn rows(items: Vec<Result<RecordBatch>>, schema: SchemaRef, truncated: bool) -> Rows {
    Rows { schema, batches: futures::stream::iter(items).boxed(), truncated: Box::new(move || truncated) }
}

/// The whole body, or the error that breaks it off.
fn body(format: Format, batch: &RecordBatch, options: Options) -> Result<Vec<u8>> {
    let rows = rows(vec![Ok(batch.clone())], batch.schema(), false);
    Ok(block_on(encode(format, rows, options)?.try_collect::<Vec<_>>())?.concat())
}

fn text(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(body(format, batch, options()).unwrap()).unwrap()
}

fn one(name: &str, column: impl Array + 'static) -> RecordBatch {
    let field = Field::new(name, column.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(column)]).unwrap()
}

#[test]
fn json_is_exactly_this() {
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 9_007_199_254_740_993])) as ArrayRef),
        ("city", Arc::new(StringArray::from(vec![Some("say \"hi\"\n"), None]))),
    ])
    .unwrap();
    assert_eq!(
        text(Format::Json, &batch),
        concat!(
            r#"{"data":{"query_id":"q_1","columns":[{"json":"integer_or_string","name":"id","type":"int64"},"#,
            r#"{"json":"string","name":"city","type":"utf8"}],"rows":["#,
            "\n",
            r#"[1,"say \"hi\"\n"],"#,
            "\n",
            r#"["9007199254740993",null]],"row_count":2,"truncated":false,"complete":true},"#,
            r#""meta":{"request_id":"req_1"}}"#
        )
    );
}

#[test]
fn values_are_exact_in_json() {
    check(Int32Array::from(vec![-1]), "number", json!(-1));
    check(
        Int64Array::from(vec![9_007_199_254_740_991]),
        "integer_or_string",
        json!(9_007_199_254_740_991_i64),
    );
    check(Int64Array::from(vec![-9_007_199_254_740_992]), "integer_or_string", json!("-9007199254740992"));
    check(Int64Array::from(vec![i64::MIN]), "integer_or_string", json!("-9223372036854775808"));
    check(UInt64Array::from(vec![u64::MAX]), "integer_or_string", json!("18446744073709551615"));
    check(Float64Array::from(vec![1.5]), "number_or_string", json!(1.5));
    check(Float64Array::from(vec![f64::NAN]), "number_or_string", json!("NaN"));
    check(Float64Array::from(vec![f64::NEG_INFINITY]), "number_or_string", json!("-Infinity"));
    check(Float32Array::from(vec![f32::INFINITY]), "number_or_string", json!("Infinity"));
    let decimal = Decimal128Array::from(vec![-12_345]).with_precision_and_scale(38, 2).unwrap();
    check(decimal, "string", json!("-123.45"));
    check(BooleanArray::from(vec![true]), "boolean", json!(true));
    check(StringViewArray::from(vec!["売上"]), "string", json!("売上"));
    check(Date32Array::from(vec![19_723]), "string", json!("2024-01-01"));
    let time = TimestampMicrosecondArray::from(vec![1_704_067_200_000_001]);
    check(time.clone(), "string", json!("2024-01-01T00:00:00.000001"));
    check(time.with_timezone("UTC"), "string", json!("2024-01-01T00:00:00.000001Z"));
    check(BinaryArray::from(vec![b"\x00\xff".as_slice()]), "string", json!("AP8="));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
    check(list, "array", json!([1, null]));
    let list =
        ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(vec![Some(i64::MAX)])]);
    check(list, "array", json!(["9223372036854775807"]));
    let field = Arc::new(Field::new("x", DataType::Float64, true));
    let pair = StructArray::from(vec![(field, Arc::new(Float64Array::from(vec![None])) as ArrayRef)]);
    check(pair, "object", json!({ "x": null }));
    let dictionary: DictionaryArray<Int32Type> = ["a"].into_iter().collect();
    check(dictionary, "string", json!("a"));
    check(NullArray::new(1), "null", json!(null));

    #[track_caller]
    fn check(column: impl Array + 'static, tag: &str, expected: Value) {
        let body: Value = serde_json::from_str(&text(Format::Json, &one("c", column))).unwrap();
        assert_eq!(body["data"]["columns"][0]["json"], tag);
        assert_eq!(body["data"]["rows"], json!([[expected]]));
    }
}

#[test]
fn ndjson_and_csv_are_exactly_this() {
    let batch = RecordBatch::try_from_iter([
        ("a", Arc::new(Int64Array::from(vec![Some(-5), None])) as ArrayRef),
        ("a", Arc::new(StringArray::from(vec!["=1+1", ""]))),
        ("d", Arc::new(Decimal128Array::from(vec![-5, 7]).with_precision_and_scale(5, 1).unwrap())),
    ])
    .unwrap();
    assert_eq!(
        text(Format::Ndjson, &batch),
        "{\"a\":-5,\"a_2\":\"=1+1\",\"d\":\"-0.5\"}\n{\"a\":null,\"a_2\":\"\",\"d\":\"0.7\"}\n\
         {\"done\":{\"rows\":2,\"truncated\":false}}\n"
    );
    assert_eq!(text(Format::Csv, &batch), "a,a,d\r\n-5,'=1+1,-0.5\r\n,\"\",0.7\r\n");
    let unguarded = Options { formula_guard: false, ..options() };
    let csv = body(Format::Csv, &batch, unguarded).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap(), "a,a,d\r\n-5,=1+1,-0.5\r\n,\"\",0.7\r\n");
    let alone = one("t", StringArray::from(vec![Some("x"), None]));
    assert_eq!(text(Format::Csv, &alone), "t\r\nx\r\n\"\"\r\n", "no line is empty");
}

#[test]
fn every_format_ends_honestly() {
    let batch = one("n", Int64Array::from(vec![1]));
    for format in Format::ALL {
        let items = vec![Ok(batch.clone()), Err(Error::BadData("row 2 is bad".to_owned()))];
        let stream = encode(format, rows(items, batch.schema(), false), options()).unwrap();
        let frames: Vec<Result<Bytes>> = block_on(stream.collect());
        let text: Vec<u8> = frames.iter().flatten().flat_map(|bytes| bytes.to_vec()).collect();
        let last = frames.last().unwrap();
        match format {
            Format::Json => {
                let body: Value = serde_json::from_slice(&text).unwrap();
                assert_eq!(body["data"]["complete"], false);
                assert_eq!(body["data"]["rows"], json!([[1]]));
                assert_eq!(body["data"]["error"]["code"], "BAD_DATA");
            }
            Format::Ndjson => {
                let text = String::from_utf8(text).unwrap();
                let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
                assert_eq!(last["error"]["message"], "row 2 is bad");
            }
            Format::Csv | Format::Arrow | Format::Parquet => {
                assert!(matches!(last, Err(Error::BadData(_))), "{format:?}: {last:?}");
            }
        }
    }
}

#[test]
fn a_cut_result_says_so() {
    let batch = one("n", Int64Array::from(vec![1]));
    for (format, word) in [(Format::Json, "\"truncated\":true"), (Format::Ndjson, "\"truncated\":true")] {
        let rows = rows(vec![Ok(batch.clone())], batch.schema(), true);
        let frames: Vec<Bytes> = block_on(encode(format, rows, options()).unwrap().try_collect()).unwrap();
        let text = String::from_utf8(frames.concat()).unwrap();
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn no_rows_are_a_whole_body() {
    let empty = RecordBatch::new_empty(one("n", Int64Array::from(vec![1])).schema());
    for format in Format::ALL {
        let stream = encode(format, rows(Vec::new(), empty.schema(), false), options()).unwrap();
        let bytes = block_on(stream.try_collect::<Vec<_>>()).unwrap().concat();
        assert_eq!(read_back(format, &bytes, 1), Vec::<Vec<Value>>::new(), "{format:?}");
    }
}

#[test]
fn frames_are_bounded_and_made_on_demand() {
    let batch = one("t", StringArray::from_iter_values((0..4_000).map(|n| format!("{n:0>300}"))));
    for format in Format::ALL {
        let pulled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Arc::clone(&pulled);
        let items = std::iter::repeat_n(batch.clone(), 10).map(move |batch| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(batch)
        });
        let rows = Rows {
            schema: batch.schema(),
            batches: futures::stream::iter(items).boxed(),
            truncated: Box::new(|| false),
        };
        let mut stream = encode(format, rows, options()).unwrap();
        let first = block_on(stream.next()).unwrap().unwrap();
        assert!(first.len() <= FRAME_BYTES_MAX, "{format:?}");
        let ahead = pulled.load(std::sync::atomic::Ordering::Relaxed);
        // Parquet has to see a row group before it can write it.
        assert!(ahead <= if format == Format::Parquet { 10 } else { 1 }, "{format:?} pulled {ahead} batches");
        let rest: Vec<Bytes> = block_on(stream.try_collect()).unwrap();
        assert!(rest.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX), "{format:?}");
        assert_eq!(read_back(format, &[first.to_vec(), rest.concat()].concat(), 1).len(), 40_000);
    }
}

#[test]
fn views_travel_without_what_they_do_not_show() {
    let long: StringViewArray = (0..10_000).map(|n| Some(format!("{n:0>100}"))).collect();
    let few = one("t", long).slice(5_000, 3);
    assert!(body(Format::Arrow, &few, options()).unwrap().len() < 4_000);
}

/// The rows as JSON values, read from the bytes by a reader that is not ours.
fn read_back(format: Format, bytes: &[u8], columns: usize) -> Vec<Vec<Value>> {
    match format {
        Format::Json => {
            let body: Value = serde_json::from_slice(bytes).unwrap();
            assert_eq!(body["data"]["complete"], true);
            serde_json::from_value(body["data"]["rows"].clone()).unwrap()
        }
        Format::Ndjson => {
            let text = std::str::from_utf8(bytes).unwrap();
            let mut lines: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let done = lines.pop().unwrap();
            assert_eq!(done["done"]["rows"], lines.len());
            let row = |line: Value| (0..columns).map(|i| line[format!("c{i}")].clone()).collect();
            if columns == 1 {
                return lines
                    .into_iter()
                    .map(|l| l.as_object().unwrap().values().cloned().collect())
                    .collect();
            }
            lines.into_iter().map(row).collect()
        }
        Format::Csv => {
            let schema = Schema::new(vec![Field::new("c", DataType::Utf8, true); columns]);
            let reader =
                arrow::csv::ReaderBuilder::new(Arc::new(schema)).with_header(true).build(bytes).unwrap();
            reader.flat_map(|batch| texts(&batch.unwrap())).collect()
        }
        Format::Arrow => {
            StreamReader::try_new(bytes, None).unwrap().flat_map(|batch| texts(&batch.unwrap())).collect()
        }
        Format::Parquet => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes)).unwrap();
            reader.build().unwrap().flat_map(|batch| texts(&batch.unwrap())).collect()
        }
    }
}

/// Rows as text or null.
fn texts(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let columns: Vec<_> =
        batch.columns().iter().map(|column| arrow::compute::cast(column, &DataType::Utf8).unwrap()).collect();
    let cell = |column: &ArrayRef, row: usize| {
        let column = column.as_string::<i32>();
        if column.is_null(row) { Value::Null } else { column.value(row).into() }
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|c| cell(c, row)).collect()).collect()
}

proptest! {
    /// All formats hold the same integers, decimals and texts. CSV cannot tell NULL from an empty text
    /// in this reader, so both count as one.
    #[test]
    fn formats_agree(rows in prop::collection::vec(
        (any::<Option<i64>>(), any::<Option<i32>>(), prop::option::of("[^\u{0}]{0,12}")), 1..40)
    ) {
        let numbers: Int64Array = rows.iter().map(|row| row.0).collect();
        let decimals: Decimal128Array = rows.iter().map(|row| row.1.map(i128::from)).collect();
        let texts: StringArray = rows.iter().map(|row| row.2.as_deref()).collect();
        let batch = RecordBatch::try_from_iter([
            ("c0", Arc::new(numbers) as ArrayRef),
            ("c1", Arc::new(decimals.with_precision_and_scale(20, 3).unwrap())),
            ("c2", Arc::new(texts)),
        ]).unwrap();
        let plain = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        let unguarded = Options { formula_guard: false, ..options() };
        let expected: Vec<Vec<String>> = super::tests::texts(&batch)
            .into_iter().map(|row| row.into_iter().map(plain).collect()).collect();
        for format in Format::ALL {
            let bytes = body(format, &batch, unguarded.clone()).unwrap();
            let got: Vec<Vec<String>> = read_back(format, &bytes, 3)
                .into_iter().map(|row| row.into_iter().map(plain).collect()).collect();
            prop_assert_eq!(&got, &expected, "{:?}", format);
        }
    }
}

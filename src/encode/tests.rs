//! What the formats write, that they agree, and how they end.

use std::io::Cursor;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::ipc::reader::StreamReader;
use calamine::{Data, Reader as _};
use futures::TryStreamExt as _;
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn options() -> Options {
    Options {
        query_id: Some("q_1".to_owned()),
        request_id: "req_1".to_owned(),
        type_name: |data_type| data_type.to_string().to_lowercase(),
    }
}

fn rows(items: Vec<Result<RecordBatch>>, schema: SchemaRef, truncated: bool) -> Rows {
    Rows { schema, batches: futures::stream::iter(items).boxed(), truncated: Box::new(move || truncated) }
}

/// The whole body, or the error that breaks it off.
fn body(form: Form, batch: &RecordBatch) -> Result<Vec<u8>> {
    whole(form, vec![Ok(batch.clone())], batch.schema(), false)
}

fn whole(form: Form, items: Vec<Result<RecordBatch>>, schema: SchemaRef, truncated: bool) -> Result<Vec<u8>> {
    let rows = rows(items, schema, truncated);
    Ok(block_on(encode(form, rows, options())?.try_collect::<Vec<_>>())?.concat())
}

fn text(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(body(Form::of(format), batch).unwrap()).unwrap()
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
    let unguarded = Form { formula_guard: false, ..Form::of(Format::Csv) };
    let csv = body(unguarded, &batch).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap(), "a,a,d\r\n-5,=1+1,-0.5\r\n,\"\",0.7\r\n");
    let alone = one("t", StringArray::from(vec![Some("x"), None]));
    assert_eq!(text(Format::Csv, &alone), "t\r\nx\r\n\"\"\r\n", "no line is empty");
}

#[test]
fn every_format_ends_honestly() {
    let batch = one("n", Int64Array::from(vec![1]));
    for format in Format::ALL {
        let items = vec![Ok(batch.clone()), Err(Error::BadData("row 2 is bad".to_owned()))];
        let stream = encode(Form::of(format), rows(items, batch.schema(), false), options()).unwrap();
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
            Format::Csv | Format::Arrow | Format::Parquet | Format::Xlsx => {
                assert!(matches!(last, Err(Error::BadData(_))), "{format:?}: {last:?}");
            }
        }
    }
}

#[test]
fn a_cut_result_says_so() {
    let batch = one("n", Int64Array::from(vec![1]));
    for truncated in [false, true] {
        let written =
            |format| whole(Form::of(format), vec![Ok(batch.clone())], batch.schema(), truncated).unwrap();
        for format in [Format::Json, Format::Ndjson] {
            let text = String::from_utf8(written(format)).unwrap();
            assert!(text.contains(&format!("\"truncated\":{truncated}")), "{text}");
        }
        let told = truncated.to_string();
        let parquet =
            ParquetRecordBatchReaderBuilder::try_new(Bytes::from(written(Format::Parquet))).unwrap();
        let pairs = parquet.metadata().file_metadata().key_value_metadata().unwrap();
        let pair = pairs.iter().find(|pair| pair.key == TRUNCATED_KEY).unwrap();
        assert_eq!(pair.value.as_ref(), Some(&told));
        assert_eq!(last_metadata(&written(Format::Arrow)), [(ROWS_KEY, "1"), (TRUNCATED_KEY, &told)]);
        let sheets =
            calamine::open_workbook_from_rs::<calamine::Xlsx<_>, _>(Cursor::new(written(Format::Xlsx)));
        assert_eq!(sheets.unwrap().sheet_names().len(), if truncated { 2 } else { 1 });
    }
}

/// The metadata of the last batch of an Arrow stream.
fn last_metadata(stream: &[u8]) -> Vec<(&str, &str)> {
    let (mut rest, mut last) = (stream, None);
    // A mark, the length of a message, the message, its buffers; at the end the length is 0.
    while let [0xff, 0xff, 0xff, 0xff, length @ ..] = rest {
        let (length, message) = length.split_first_chunk::<4>().unwrap();
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
        if length == 0 {
            break;
        }
        let message = arrow::ipc::root_as_message(&message[..length]).unwrap();
        rest = &rest[8 + length + usize::try_from(message.bodyLength()).unwrap()..];
        last = message.custom_metadata();
    }
    last.unwrap().iter().map(|pair| (pair.key().unwrap(), pair.value().unwrap())).collect()
}

#[test]
fn no_rows_are_a_whole_body() {
    let empty = RecordBatch::new_empty(one("n", Int64Array::from(vec![1])).schema());
    for format in Format::ALL {
        let stream = encode(Form::of(format), rows(Vec::new(), empty.schema(), false), options()).unwrap();
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
        let mut stream = encode(Form::of(format), rows, options()).unwrap();
        let first = block_on(stream.next()).unwrap().unwrap();
        assert!(first.len() <= FRAME_BYTES_MAX, "{format:?}");
        let ahead = pulled.load(std::sync::atomic::Ordering::Relaxed);
        // Parquet has to see a row group before it can write it, and what XLSX repeats takes no room.
        let compressed = matches!(format, Format::Parquet | Format::Xlsx);
        assert!(ahead <= if compressed { 10 } else { 1 }, "{format:?} pulled {ahead} batches");
        let rest: Vec<Bytes> = block_on(stream.try_collect()).unwrap();
        assert!(rest.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX), "{format:?}");
        assert_eq!(read_back(format, &[first.to_vec(), rest.concat()].concat(), 1).len(), 40_000);
    }
}

#[test]
fn nothing_travels_that_is_not_shown() {
    let texts = || (0..10_000).map(|n| format!("{n:0>100}"));
    let views = StringViewArray::from_iter_values(texts());
    check(Arc::new(views.clone()));
    check(Arc::new(StringArray::from_iter_values(texts())));
    check(Arc::new(BinaryViewArray::from_iter_values(texts())));
    let keys = Int32Array::from_iter_values(0..10_000);
    check(Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(texts())))));
    let item = Arc::new(Field::new_list_field(DataType::Utf8View, true));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, 10_000));
    let lists = ListArray::new(Arc::clone(&item), offsets, Arc::new(views.clone()), None);
    check(Arc::new(lists.clone()));
    check(Arc::new(FixedSizeListArray::new(item, 1, Arc::new(views.clone()), None)));
    let field = Arc::new(Field::new("x", lists.data_type().clone(), true));
    check(Arc::new(StructArray::from(vec![(field, Arc::new(lists) as ArrayRef)])));
    let names = ["key", "value"].map(|name| Field::new(name, DataType::Utf8View, name == "value"));
    let columns: Vec<ArrayRef> = vec![Arc::new(views.clone()), Arc::new(views)];
    let entries = StructArray::new(names.to_vec().into(), columns, None);
    let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, 10_000));
    check(Arc::new(MapArray::new(field, offsets, entries, None, false)));

    /// A few of ten thousand rows: as few bytes, and the same rows.
    #[track_caller]
    fn check(column: ArrayRef) {
        let schema = Schema::new(vec![Field::new("t", column.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap().slice(5_000, 3);
        let bytes = body(Form::of(Format::Arrow), &batch).unwrap();
        assert!(bytes.len() < 4_000, "{}: {} bytes", batch.column(0).data_type(), bytes.len());
        let got: Vec<_> =
            StreamReader::try_new(bytes.as_slice(), None).unwrap().map(Result::unwrap).collect();
        assert_eq!(got[0], batch);
    }
}

#[test]
fn a_workbook_has_real_numbers_and_dates_and_no_formulas() {
    let day = Date32Array::from(vec![19_723, 0]);
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![-5, 9_007_199_254_740_993])) as ArrayRef),
        ("price", Arc::new(Decimal128Array::from(vec![150, -1]).with_precision_and_scale(38, 2).unwrap())),
        ("share", Arc::new(Float64Array::from(vec![0.1, f64::NAN]))),
        ("day", Arc::new(day)),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![1_704_110_400_000_000, -3_000_000_000_000_000])),
        ),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("text", Arc::new(StringArray::from(vec!["=1+1", " <a> & \"b\"\n売上 "]))),
    ])
    .unwrap();
    let bytes = body(Form::of(Format::Xlsx), &batch).unwrap();
    let mut book: calamine::Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).unwrap();
    assert_eq!(book.worksheet_formula("Result").unwrap().height(), 0);
    let sheet = book.worksheet_range("Result").unwrap();
    let row = |row: usize| -> Vec<Data> { sheet.rows().nth(row).unwrap().to_vec() };
    let text = |text: &str| Data::String(text.to_owned());
    assert_eq!(row(0), ["id", "price", "share", "day", "at", "ok", "text"].map(text));
    let [id, price, share, day, at, ok, formula]: [Data; 7] = row(1).try_into().unwrap();
    assert_eq!((id, price, share), (Data::Float(-5.0), Data::Float(1.5), Data::Float(0.1)));
    assert_eq!((ok, formula), (Data::Bool(true), text("=1+1")));
    let times = [day, at].map(|cell| match cell {
        Data::DateTime(time) => time.as_f64(),
        other => panic!("no time: {other:?}"),
    });
    assert_eq!(times, [45_292.0, 45_292.5]);
    let (wide, small) = (text("9007199254740993"), Data::Float(-0.01));
    let (nan, old) = (text("NaN"), text("1874-12-07T18:40:00"));
    let [id, price, share, _, at, ok, last]: [Data; 7] = row(2).try_into().unwrap();
    assert_eq!((id, price, share, at, ok), (wide, small, nan, old, Data::Empty));
    assert_eq!(last, text(" <a> & \"b\"\n売上 "));
}

#[test]
fn csv_is_written_in_the_character_set_that_was_asked_for() {
    let batch = one("都市", StringArray::from(vec![Some("東京"), Some("😀"), None]));
    check(&batch, Charset::Utf8, "都市\r\n東京\r\n😀\r\n\"\"\r\n".as_bytes());
    check(&batch, Charset::Utf8Bom, "\u{feff}都市\r\n東京\r\n😀\r\n\"\"\r\n".as_bytes());
    let (name, city) = (b"\x93\x73\x8e\x73", b"\x93\x8c\x8b\x9e");
    let expected = [&name[..], b"\r\n", city, b"\r\n\x81\xac\r\n\"\"\r\n"].concat();
    check(&batch, Charset::Cp932, &expected);

    #[track_caller]
    fn check(batch: &RecordBatch, charset: Charset, expected: &[u8]) {
        let form = Form { charset, ..Form::of(Format::Csv) };
        assert_eq!(body(form, batch).unwrap(), expected, "{charset:?}");
    }
}

#[test]
fn arrow_can_be_compressed() {
    let batch = one("n", Int64Array::from_iter_values((0..10_000).map(|n| n % 7)));
    let plain = body(Form::of(Format::Arrow), &batch).unwrap();
    for compression in [Compression::Lz4, Compression::Zstd] {
        let bytes = body(Form { compression, ..Form::of(Format::Arrow) }, &batch).unwrap();
        assert!(bytes.len() * 2 < plain.len(), "{compression:?}: {} of {}", bytes.len(), plain.len());
        assert_eq!(read_back(Format::Arrow, &bytes, 1), read_back(Format::Arrow, &plain, 1));
    }
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
        Format::Xlsx => {
            let mut book: calamine::Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).unwrap();
            let sheet = book.worksheet_range_at(0).unwrap().unwrap();
            let cell = |row: usize, column: usize| match sheet.get((row, column)) {
                None | Some(Data::Empty) => Value::Null,
                Some(Data::Float(number)) => json!(number.to_string()),
                Some(other) => json!(other.to_string()),
            };
            (1..sheet.height()).map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect()
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
        let expected: Vec<Vec<String>> = super::tests::texts(&batch)
            .into_iter().map(|row| row.into_iter().map(plain).collect()).collect();
        // A spreadsheet has another idea of numbers; it has a test of its own.
        for format in Format::ALL.into_iter().filter(|format| *format != Format::Xlsx) {
            let bytes = body(Form { formula_guard: false, ..Form::of(format) }, &batch).unwrap();
            let got: Vec<Vec<String>> = read_back(format, &bytes, 3)
                .into_iter().map(|row| row.into_iter().map(plain).collect()).collect();
            prop_assert_eq!(&got, &expected, "{:?}", format);
        }
    }
}

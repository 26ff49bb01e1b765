//! Bytes on the wire, beside the bytes of the values: text must not bring along what it was cut from.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::DataType;
use arrow::ipc::reader::StreamReader;
use serde_json::json;

use crate::support::TestApp;

/// Statements whose results are mostly text, most of them a few of many rows.
const STATEMENTS: [&str; 10] = [
    "select * from notes order by note limit 2000",
    "select note, id from notes order by amount desc limit 5000",
    "select distinct note from notes where id % 3 = 0",
    "select kind, max(note) as last, min(note) as first from notes group by kind, id % 500",
    "select substr(note, 1, 40) as beginning, upper(kind) as kind from notes where note like '%7%'",
    "select kind || ': ' || note as text from notes where id < 4000",
    "select a.note, b.kind from notes a join notes b on a.id = b.id + 1 where a.id % 5 = 0",
    "select kind, array_agg(note) as notes from notes where id % 4 = 0 group by kind",
    "select note, lag(note) over (order by id) as before from notes order by id limit 3000",
    "select case when id % 2 = 0 then note end as even, regexp_replace(note, '[0-9]+', '#') as text from notes limit 3000",
];

/// Bytes that the values of a column need, as Arrow lays them out.
fn logical(array: &dyn Array) -> usize {
    let rows = array.len();
    let nulls = if array.null_count() > 0 { rows.div_ceil(8) } else { 0 };
    nulls
        + match array.data_type() {
            DataType::Utf8 => {
                4 * (rows + 1) + array.as_string::<i32>().iter().flatten().map(str::len).sum::<usize>()
            }
            DataType::LargeUtf8 => {
                8 * (rows + 1) + array.as_string::<i64>().iter().flatten().map(str::len).sum::<usize>()
            }
            DataType::Utf8View => {
                let long =
                    array.as_string_view().iter().flatten().map(str::len).filter(|length| *length > 12);
                16 * rows + long.sum::<usize>()
            }
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                let shown: Vec<ArrayRef> = lists.iter().flatten().collect();
                4 * (rows + 1) + shown.iter().map(|values| logical(values)).sum::<usize>()
            }
            other => rows * other.primitive_width().unwrap_or_else(|| panic!("{other} has no width")),
        }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_takes_no_more_bytes_than_it_has() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let mut csv = "id,kind,amount,note\n".to_owned();
    for id in 0_u64..20_000 {
        let (mixed, kind) =
            (id.wrapping_mul(2_654_435_761) % 99_991, ["order", "invoice", "返品"][(id % 3) as usize]);
        writeln!(csv, "{id},{kind},{mixed},note {mixed:0>60} left at the back door {id}").unwrap();
    }
    app.dataset(&ana, "notes", &csv).await;
    for sql in STATEMENTS {
        let call = app.post("/api/query?format=arrow").by(&ana).json(&json!({ "sql": sql }));
        let bytes = call.send().await;
        assert_eq!(bytes.status, 200, "{sql}: {}", bytes.text());
        let batches = StreamReader::try_new(bytes.bytes.as_ref(), None).unwrap();
        let logical: usize = batches
            .map(|batch| batch.unwrap().columns().iter().map(|column| logical(column)).sum::<usize>())
            .sum();
        assert!(logical > 50_000, "{sql}: {logical} bytes are too few to tell");
        let wire = bytes.bytes.len();
        assert!(wire * 10 <= logical * 12, "{sql}: {wire} bytes on the wire for {logical} bytes of values");
    }
}

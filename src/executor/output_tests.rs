//! Results that no honest run writes are errors, and never more than that.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    NullArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use futures::{FutureExt as _, StreamExt as _};
use proptest::prelude::*;
use shirabe_wire::{host, memory};

use super::admission::{Admission, AdmissionLimits, Slot};
use super::frame::{Frames, Kind, frame};
use super::output::check as checked;
use super::{Class, Output, remote_rows};
use crate::error::{Code, Error};
use crate::ids::UserId;

fn rows() -> RecordBatch {
    let money = Decimal128Array::from(vec![Some(1), None, Some(-7)]).with_precision_and_scale(12, 2).unwrap();
    let at = TimestampMicrosecondArray::from(vec![Some(1), None, Some(2)]).with_timezone("Asia/Tokyo");
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef),
        ("text", Arc::new(StringArray::from(vec![Some("東京"), None, Some("")]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_000), None, Some(0)]))),
        ("money", Arc::new(money)),
        ("at", Arc::new(at)),
    ])
    .unwrap()
}

fn stream(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// As a run has left it, which says that it has `row_count` rows of `column_count` columns.
fn left(bytes: &[u8], row_count: u64, column_count: u64) -> host::Rows {
    let stream = memory::sealed("test", &[bytes]).unwrap();
    host::Rows { stream, byte_count: bytes.len() as u64, row_count, column_count }
}

fn slot() -> Slot {
    let door = Admission::new(AdmissionLimits {
        memory_bytes_max: 1,
        cards_max: 1,
        transforms_max: 1,
        waiting_max: 1,
        wait_max: Duration::from_secs(1),
    });
    let user = UserId::parse("user_aaaaaaaaaaaa").unwrap();
    door.enter(&user, Class::Transform, 1).now_or_never().unwrap().unwrap()
}

/// All batches up to the first error.
async fn read(left: host::Rows) -> Result<Vec<RecordBatch>, String> {
    let mut rows = checked(left)?.rows(slot());
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch.map_err(|error| error.to_string())?);
    }
    Ok(batches)
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let (whole, part, empty) = (rows(), rows().slice(1, 2), rows().slice(0, 0));
    let bytes = stream(&[empty, whole.clone(), part.clone()], IpcWriteOptions::default());
    let looked = checked(left(&bytes, 5, 7)).unwrap();
    assert_eq!((looked.row_count, looked.schema.fields().len()), (5, 7));
    assert_eq!(read(left(&bytes, 5, 7)).await.unwrap(), [whole.clone(), part]);
    // Without an end mark, and without rows.
    let open = bytes.strip_suffix(&[255, 255, 255, 255, 0, 0, 0, 0]).unwrap();
    assert_eq!(read(left(open, 5, 7)).await.unwrap().len(), 2);
    let none = stream(&[whole.slice(0, 0)], IpcWriteOptions::default());
    assert!(read(left(&none, 0, 7)).await.unwrap().is_empty());
}

#[test]
fn what_no_honest_run_writes_is_refused() {
    let one = |name: &str, array: ArrayRef| {
        stream(&[RecordBatch::try_from_iter([(name, array)]).unwrap()], IpcWriteOptions::default())
    };
    let ints = || Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
    let good = stream(&[rows()], IpcWriteOptions::default());
    check(&good, 4, 7, "3 rows of 7 columns, and the run says 4 of 7");
    check(&good, 3, 6, "3 rows of 7 columns, and the run says 3 of 6");
    check(&good[..good.len() - 9], 3, 7, "cut off");
    check(&[&good[..], &[0; 8]].concat(), 3, 7, "goes on after its end");
    check(b"", 0, 0, "no columns");
    check(b"ARROW1\0\0rest", 0, 0, "does not begin");
    check(&one("", ints()), 3, 1, "name of 0 bytes");
    check(&one("n", Arc::new(NullArray::new(3))), 3, 1, "of the type `Null`");
    let kinds: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    check(&one("kind", Arc::new(kinds)), 3, 1, "of the type `Dictionary");
    let twice = RecordBatch::try_from_iter([("n", ints()), ("n", ints())]).unwrap();
    check(&stream(&[twice], IpcWriteOptions::default()), 3, 2, "two columns are called `n`");
    let packed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    check(&stream(&[rows()], packed), 3, 7, "compressed");
    let zone = Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("Nowhere/At all"));
    check(&one("at", zone), 3, 1, "of the type `Timestamp");

    #[track_caller]
    fn check(bytes: &[u8], row_count: u64, column_count: u64, expected: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let error = runtime.block_on(read(left(bytes, row_count, column_count))).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// As an executor sends it, in pieces of `step` bytes.
fn sent(bytes: &[u8], step: usize, is_whole: bool) -> Frames {
    let mut frames: Vec<_> = bytes.chunks(step).map(|piece| Ok(frame(Kind::Piece, piece))).collect();
    if is_whole {
        frames.push(Ok(frame(Kind::Whole, b"")));
    }
    Frames::new(futures::stream::iter(frames).boxed())
}

async fn received(frames: Frames, row_count: u64, byte_count: u64) -> Result<Vec<RecordBatch>, Error> {
    let Output::Rows { mut rows, .. } = remote_rows::output(frames, row_count, 7, byte_count).await? else {
        panic!("expected rows");
    };
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

#[tokio::test]
async fn what_comes_over_a_connection_is_checked_as_well() {
    let bytes = stream(&[rows(), rows().slice(0, 1)], IpcWriteOptions::default());
    let length = bytes.len() as u64;
    for step in [1, 7, 4096] {
        let got = received(sent(&bytes, step, true), 4, length).await.unwrap();
        assert_eq!(got, [rows(), rows().slice(0, 1)]);
    }
    // All rows have come, and nobody says so.
    check(sent(&bytes, 100, false), 4, length, Code::ServiceUnavailable, "before its result was complete")
        .await;
    check(sent(&bytes[..200], 100, true), 4, length, Code::ServiceUnavailable, "before its result").await;
    check(sent(&[&bytes[..], b"more"].concat(), 4096, true), 4, length, Code::ServiceUnavailable, "").await;
    check(sent(&bytes, 100, true), 3, length, Code::ExecutionError, "more rows than it says").await;
    check(sent(&bytes, 100, true), 5, length, Code::ExecutionError, "1 of its rows are missing").await;
    check(sent(&bytes, 100, true), 4, length - 20, Code::ExecutionError, "").await;
    check(sent(b"", 1, true), 0, 0, Code::ExecutionError, "no columns").await;
    let packed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let packed = stream(&[rows()], packed);
    check(sent(&packed, 99, true), 3, packed.len() as u64, Code::ExecutionError, "compressed").await;

    async fn check(frames: Frames, row_count: u64, byte_count: u64, code: Code, expected: &str) {
        let error = received(frames, row_count, byte_count).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_result_with_changed_bytes_is_rows_or_an_error(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut bytes = stream(&[rows(), rows()], IpcWriteOptions::default());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for batch in runtime.block_on(read(left(&bytes, 6, 7))).unwrap_or_default() {
            // Reading every value shows that the reader has checked what it let pass.
            for column in batch.columns() {
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
        let frames = sent(&bytes, 64, true);
        for batch in runtime.block_on(received(frames, 6, bytes.len() as u64)).unwrap_or_default() {
            for column in batch.columns() {
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
    }
}

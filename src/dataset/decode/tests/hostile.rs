//! Parquet and Arrow IPC from people who mean harm: cut short, flipped, and lying about sizes.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, DictionaryArray, Int64Array, StringArray, TimestampMillisecondArray},
    datatypes::{DataType, Int32Type},
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    },
    record_batch::RecordBatch,
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

use super::{
    super::{DecodeError, DecodeLimits, LimitName, ReadOptions},
    support::{read, read_with, source},
};

fn table() -> RecordBatch {
    let names: DictionaryArray<Int32Type> = ["東京", "大阪", "東京", "京都"].into_iter().collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MAX), Some(4)]))),
        ("city", Arc::new(names)),
        (
            "note",
            Arc::new(StringArray::from(vec![
                Some("a"),
                Some("b"),
                None,
                Some("long enough to be out of line"),
            ])),
        ),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![0, 1, 2, 3]).with_timezone("Asia/Tokyo"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn ipc_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn ipc_stream(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn files() -> [(&'static str, Vec<u8>); 4] {
    let table = table();
    let zstd = Some(CompressionType::ZSTD);
    [
        ("t.parquet", parquet(&table)),
        ("t.arrow", ipc_file(&table)),
        ("t.arrows", ipc_stream(&table, None)),
        ("t.arrows", ipc_stream(&table, zstd)),
    ]
}

#[test]
fn typed_files_become_plain_batches() {
    for (name, bytes) in files() {
        let read = read(name, bytes).unwrap();
        assert_eq!(read.rows()[0], "1|東京|a|1970-01-01T09:00:00+09:00", "{name}");
        assert_eq!(
            read.rows()[3],
            "4|京都|long enough to be out of line|1970-01-01T09:00:00.003+09:00",
            "{name}"
        );
        assert_eq!(read.batches[0].schema(), read.inspection.schema);
        assert_eq!(read.batches[0].column(1).data_type(), &DataType::Utf8);
        assert_eq!(
            read.inspection.sample_rows[1],
            [None, Some("大阪".into()), Some("b".into()), Some("1970-01-01T09:00:00.001+09:00".into())]
        );
    }
}

#[test]
fn files_cut_short_give_errors() {
    for (name, bytes) in files() {
        for length in (8..bytes.len()).step_by(97) {
            // A stream that ends between two messages is a whole stream.
            let result = read(name, bytes[..length].to_vec());
            assert!(result.is_err() || name == "t.arrows" || name == "t.arrow", "{name} {length}");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for (name, bytes) in files() {
        for place in (0..bytes.len()).step_by(3) {
            for mask in [0xFF, 0x80, 0x01] {
                let mut flipped = bytes.clone();
                flipped[place] ^= mask;
                if let Err(error) = read(name, flipped) {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

#[test]
fn a_dictionary_that_stands_for_gigabytes_comes_in_small_batches() {
    let long = "x".repeat(1 << 16);
    let keys = arrow::array::Int32Array::from(vec![0; 400]);
    let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![long]))));
    let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
    let limits = DecodeLimits { batch_bytes: 1 << 18, ..DecodeLimits::default() };
    for (name, bytes) in [("t.parquet", parquet(&batch)), ("t.arrow", ipc_file(&batch))] {
        let source = source(name, bytes);
        let contract = super::super::inspect(&source, &ReadOptions::default(), &limits).unwrap().contract;
        let mut reader = super::super::open(&source, &contract, &limits).unwrap();
        let plan = super::super::Plan::new(&contract, &limits);
        let batch = reader.next_chunk().unwrap().unwrap().parse(&plan).unwrap().batch;
        assert!(
            batch.num_rows() < 5 && batch.get_array_memory_size() < 1 << 20,
            "{name} {}",
            batch.num_rows()
        );
    }
    let tiny = DecodeLimits { batch_bytes: 1 << 10, ..DecodeLimits::default() };
    let error = read_with(&source("t.parquet", parquet(&batch)), &ReadOptions::default(), &tiny).unwrap_err();
    assert!(matches!(error, DecodeError::OverLimit { what: LimitName::BatchBytes, .. }), "{error}");
}

#[test]
fn an_ipc_buffer_that_says_it_is_huge_is_not_believed() {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
    let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
    let mut bytes = ipc_stream(&batch, Some(CompressionType::ZSTD));
    assert_eq!(read("t.arrows", bytes.clone()).unwrap().rows().len(), 10_000);
    let magic = [0x28, 0xB5, 0x2F, 0xFD];
    let place = bytes.windows(4).position(|window| window == magic).unwrap();
    bytes[place - 8..place].copy_from_slice(&(1_i64 << 40).to_le_bytes());
    let error = read("t.arrows", bytes).unwrap_err();
    assert!(matches!(error, DecodeError::OverLimit { what: LimitName::BatchBytes, .. }), "{error}");
}

#[test]
fn errors_name_the_file_and_the_row_group() {
    let mut bytes = parquet(&table());
    bytes[10..60].fill(0xEE);
    let error = read("t.parquet", bytes).unwrap_err().to_string();
    assert!(error.starts_with("`t.parquet` is not a readable Parquet file: row group 0: "), "{error}");
}

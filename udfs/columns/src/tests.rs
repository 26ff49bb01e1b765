use std::sync::Arc;

use arrow_array::builder::{BinaryViewBuilder, StringViewBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float64Array, Int8Array, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, make_array,
};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_ipc::reader::StreamReader;
use arrow_schema::{Field, Schema};
use serde_json::Value;

use super::*;

/// What Python does with it.
fn read(sealed: Sealed) -> Vec<RecordBatch> {
    assert!(memory::is_sealed(&sealed.file).unwrap());
    let pieces = pieces::read(&sealed.file).unwrap();
    let file = File::from(sealed.file);
    let bytes = |at: usize| {
        let mut bytes = vec![0; usize::try_from(pieces[at].length).unwrap()];
        file.read_exact_at(&mut bytes, pieces[at].from).unwrap();
        bytes
    };
    assert!(pieces.iter().all(|piece| piece.from % 4096 == 0));
    let about: Value = serde_json::from_slice(&bytes(0)).unwrap();
    let schema = StreamReader::try_new(io::Cursor::new(bytes(1)), None).unwrap().schema();
    let batches = about.as_array().unwrap().iter().map(|batch| {
        let rows = batch["rows"].as_u64().unwrap() as usize;
        let columns = schema.fields().iter().zip(batch["columns"].as_array().unwrap());
        let arrays = columns.map(|(field, column)| {
            let buffers = column["buffers"].as_array().unwrap().iter();
            let mut buffers = buffers.map(|at| at.as_u64().map(|at| Buffer::from_vec(bytes(at as usize))));
            let nulls = buffers.next().unwrap();
            let data = ArrayData::builder(field.data_type().clone()).len(rows).null_bit_buffer(nulls);
            let data = buffers.fold(data, |data, buffer| data.add_buffer(buffer.unwrap_or_default()));
            let array = make_array(data.build().unwrap());
            assert_eq!(array.null_count() as u64, column["nulls"].as_u64().unwrap());
            array
        });
        RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap()
    });
    batches.collect()
}

fn array<T: Array + 'static>(array: T) -> ArrayRef {
    Arc::new(array)
}

fn views() -> [ArrayRef; 2] {
    let (mut texts, mut bytes) = (StringViewBuilder::new(), BinaryViewBuilder::new());
    for value in [Some("a"), None, Some(""), Some("a text that is longer than twelve"), Some("日本")] {
        texts.append_option(value);
        bytes.append_option(value);
    }
    [array(texts.finish()), array(bytes.finish())]
}

#[test]
fn rows_of_every_type_come_back() {
    let texts = [Some("a"), None, Some(""), Some("a text that is longer than twelve"), Some("日本")];
    let bytes = texts.map(|text| text.map(str::as_bytes));
    let [text_views, byte_views] = views();
    for (given, expected) in [
        (array(Int64Array::from(vec![1, 2, 3, 4, i64::MIN])), None),
        (array(Int8Array::from(vec![Some(1), None, Some(-1), None, Some(0)])), None),
        (array(Float64Array::from(vec![0.5, f64::NAN, -0.0, 1e300, f64::INFINITY])), None),
        (array(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(true)])), None),
        (array(BooleanArray::from(vec![true, false, true, true, false])), None),
        (array(Date32Array::from(vec![0, 1, -1, 20_000, 7])), None),
        (array(TimestampMicrosecondArray::from(vec![0, 1, 2, 3, 4]).with_timezone("Asia/Tokyo")), None),
        (array(Decimal128Array::from(vec![Some(1), None, Some(-3), Some(4), Some(5)])), None),
        (array(FixedSizeBinaryArray::try_from_iter(["ab", "cd", "ef", "gh", "ij"].iter()).unwrap()), None),
        (array(StringArray::from(texts.to_vec())), None),
        (array(LargeStringArray::from(texts.to_vec())), None),
        (array(BinaryArray::from(bytes.to_vec())), None),
        (text_views, Some(array(StringArray::from(texts.to_vec())))),
        (byte_views, Some(array(BinaryArray::from(bytes.to_vec())))),
    ] {
        let expected = expected.unwrap_or_else(|| Arc::clone(&given));
        let schema = Schema::new(vec![Field::new("c", expected.data_type().clone(), true)]);
        let schema = Arc::new(schema);
        let mut columns = Columns::new(Arc::clone(&schema), 1 << 20).unwrap();
        // In parts that begin and end within a byte of the bits, and one of which is empty.
        for (from, length) in [(0, 3), (3, 0), (3, 2), (1, 4)] {
            columns.append(&[given.slice(from, length)], length).unwrap();
        }
        let [batch]: [RecordBatch; 1] = read(columns.finish().unwrap()).try_into().unwrap();
        assert_eq!(batch.schema(), schema);
        assert_eq!(batch.num_rows(), 9);
        assert_eq!(&batch.column(0).slice(0, 5), &expected);
        assert_eq!(&batch.column(0).slice(5, 4), &expected.slice(1, 4));
    }
}

fn texts(values: &[&str]) -> RecordBatch {
    RecordBatch::try_from_iter([("s", array(StringArray::from(values.to_vec())))]).unwrap()
}

#[test]
fn more_text_than_offsets_can_count_begins_another_batch() {
    let mut columns = Columns::new(texts(&[]).schema(), 1 << 20).unwrap();
    columns.text_max = 5;
    for batch in [texts(&["ab", "cd"]), texts(&["ef", "g", "h", "ijklm"])] {
        columns.append(batch.columns(), batch.num_rows()).unwrap();
    }
    let expected = [texts(&["ab", "cd"]), texts(&["ef", "g"]), texts(&["h"]), texts(&["ijklm"])];
    assert_eq!(read(columns.finish().unwrap()), expected);

    let mut columns = Columns::new(texts(&[]).schema(), 1 << 20).unwrap();
    columns.text_max = 5;
    assert!(matches!(columns.append(texts(&["a", "longer"]).columns(), 2), Err(Wrong::Arrow(_))));
}

#[test]
fn nothing_is_kept_of_no_rows() {
    let mut columns = Columns::new(texts(&[]).schema(), 1 << 20).unwrap();
    columns.append(texts(&[]).columns(), 0).unwrap();
    assert!(read(columns.finish().unwrap()).is_empty());
}

#[test]
fn what_is_too_large_or_of_another_type_is_refused() {
    let mut columns = Columns::new(texts(&[]).schema(), 20).unwrap();
    assert!(matches!(columns.append(texts(&["0123456789abc"]).columns(), 1), Err(Wrong::TooLarge(20))));
    let other = [array(Int64Array::from(vec![1]))];
    let mut columns = Columns::new(texts(&[]).schema(), 1 << 20).unwrap();
    assert!(matches!(columns.append(&other, 1), Err(Wrong::Arrow(_))));
    let lists = ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>([Some([Some(1)])]);
    for other in [array(NullArray::new(1)), array(lists)] {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", other, true)]).unwrap();
        assert!(!Columns::take(&batch.schema()));
        assert!(matches!(Columns::new(batch.schema(), 1 << 20), Err(Wrong::Arrow(_))));
    }
    assert!(Columns::take(&texts(&[]).schema()));
}

/// What was never written takes no memory.
#[test]
fn memory_is_taken_for_what_there_is() {
    let mut columns = Columns::new(texts(&[]).schema(), 64 << 20).unwrap();
    let text = "x".repeat(1 << 20);
    columns.append(texts(&[text.as_str(); 20]).columns(), 20).unwrap();
    let sealed = columns.finish().unwrap();
    assert!((20 << 20..21 << 20).contains(&sealed.byte_count), "{}", sealed.byte_count);
    assert_eq!(read(sealed)[0].num_rows(), 20);
}

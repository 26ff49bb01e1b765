//! Batches without what they do not show.
//!
//! Why: a view array points into buffers that it may share with thousands of rows that are not sent, a dictionary
//! may hold values that no row has, and IPC writes both whole. Columns of text leave the engine compact, but text
//! inside of lists and structs does not.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, ByteView, FixedSizeListArray, GenericByteViewArray, GenericListArray,
    MapArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ByteViewType, DataType};
use arrow_select::dictionary::garbage_collect_any_dictionary;

use super::internal;
use crate::error::Result;

/// Longest text that a view holds itself.
const INLINE_BYTES_MAX: u32 = 12;

/// `batch`, whose columns are copied where they hold more than they show.
pub(super) fn batch(batch: &RecordBatch) -> Result<RecordBatch> {
    if !batch.columns().iter().any(|column| may_waste(column.data_type())) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(array).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(internal)
}

fn may_waste(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Utf8View | T::BinaryView | T::Dictionary(..) => true,
        T::List(inner) | T::LargeList(inner) | T::FixedSizeList(inner, _) | T::Map(inner, _) => {
            may_waste(inner.data_type())
        }
        T::Struct(fields) => fields.iter().any(|field| may_waste(field.data_type())),
        _ => false,
    }
}

fn array(array: &ArrayRef) -> Result<ArrayRef> {
    use DataType as T;
    if !may_waste(array.data_type()) {
        return Ok(Arc::clone(array));
    }
    Ok(match array.data_type() {
        T::Utf8View => views(array.as_string_view()),
        T::BinaryView => views(array.as_binary_view()),
        T::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().len() <= dictionary.keys().len() {
                return Ok(Arc::clone(array));
            }
            garbage_collect_any_dictionary(dictionary).map_err(internal)?
        }
        T::List(_) => list(array.as_list::<i32>())?,
        T::LargeList(_) => list(array.as_list::<i64>())?,
        T::FixedSizeList(field, size) => {
            let lists = array.as_fixed_size_list();
            let values = self::array(lists.values())?;
            let nulls = lists.nulls().cloned();
            Arc::new(FixedSizeListArray::try_new(Arc::clone(field), *size, values, nulls).map_err(internal)?)
        }
        T::Map(field, ordered) => {
            let map = array.as_map();
            let (offsets, first, length) = shifted(map.offsets());
            let entries: ArrayRef = Arc::new(map.entries().slice(first, length));
            let entries = self::array(&entries)?.as_struct().clone();
            let nulls = map.nulls().cloned();
            let map = MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *ordered);
            Arc::new(map.map_err(internal)?)
        }
        T::Struct(fields) => {
            let columns = array.as_struct().columns().iter().map(self::array).collect::<Result<Vec<_>>>()?;
            let nulls = array.nulls().cloned();
            let length = array.len();
            let structs = StructArray::try_new_with_length(fields.clone(), columns, nulls, length);
            Arc::new(structs.map_err(internal)?)
        }
        _ => Arc::clone(array),
    })
}

/// Copied when more than an eighth of its buffers is not shown.
fn views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> ArrayRef {
    let held: usize = array.data_buffers().iter().map(arrow::buffer::Buffer::len).sum();
    let shown: usize = array
        .views()
        .iter()
        .map(|view| ByteView::from(*view).length)
        .filter(|length| *length > INLINE_BYTES_MAX)
        .map(|length| length as usize)
        .sum();
    if held <= shown + shown / 8 { Arc::new(array.clone()) } else { Arc::new(array.gc()) }
}

fn list<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Result<ArrayRef> {
    let (offsets, first, length) = shifted(lists.offsets());
    let values = array(&lists.values().slice(first, length))?;
    let (DataType::List(field) | DataType::LargeList(field)) = lists.data_type() else {
        return Ok(Arc::new(lists.clone()));
    };
    let lists = GenericListArray::try_new(Arc::clone(field), offsets, values, lists.nulls().cloned());
    Ok(Arc::new(lists.map_err(internal)?))
}

/// Offsets that begin with 0, and which part of the values they point into.
fn shifted<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (OffsetBuffer<O>, usize, usize) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let shifted: ScalarBuffer<O> = offsets.iter().map(|offset| *offset - first).collect();
    // They rise, as they did before.
    (OffsetBuffer::new(shifted), first.as_usize(), (last - first).as_usize())
}

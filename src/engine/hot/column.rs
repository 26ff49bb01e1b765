//! One column of one file, decoded.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray as _, BooleanArray, PrimitiveArray, UInt64Array,
    downcast_primitive_array,
};
use arrow::compute;
use arrow::datatypes::{ArrowNumericType, DataType};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};

/// Rows of a chunk; as many as operators take at a time.
pub(super) const CHUNK_ROWS: usize = 8192;

/// A column. Its chunks are cut where those of all columns of the file are.
#[derive(Debug)]
pub(super) struct HotColumn {
    groups: Vec<Group>,
    chunks: Vec<ArrayRef>,
    bounds: Option<Bounds>,
    null_counts: UInt64Array,
    bytes: usize,
}

/// A row group.
#[derive(Debug)]
struct Group {
    /// Where it begins in its file: a scan that reads a part of the file reads what begins there.
    offset: i64,
    chunk_count: usize,
}

/// The least and the greatest value of each chunk.
#[derive(Debug)]
struct Bounds {
    min: ArrayRef,
    max: ArrayRef,
}

impl HotColumn {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Offsets of row groups, with the number of chunks in each.
    pub(super) fn groups(&self) -> impl Iterator<Item = (i64, usize)> {
        self.groups.iter().map(|group| (group.offset, group.chunk_count))
    }

    /// The chunk with this number, counted over all row groups.
    pub(super) fn chunk(&self, number: usize) -> Option<&ArrayRef> {
        self.chunks.get(number)
    }
}

/// Whether columns of this type are kept.
pub(super) fn is_kept(data_type: &DataType) -> bool {
    !data_type.is_nested()
}

/// About how many bytes `rows` values take, of which a file holds `stored` uncompressed.
pub(super) fn estimate(data_type: &DataType, rows: usize, stored: usize) -> usize {
    const VIEW_BYTES: usize = 16;
    match data_type.primitive_width() {
        Some(width) => rows.saturating_mul(width),
        None if *data_type == DataType::Boolean => rows / 8,
        None => rows.saturating_mul(VIEW_BYTES).saturating_add(stored),
    }
}

/// Makes a column out of its chunks.
#[derive(Debug, Default)]
pub(super) struct Builder {
    groups: Vec<Group>,
    chunks: Vec<ArrayRef>,
    min: Vec<ScalarValue>,
    max: Vec<ScalarValue>,
    null_counts: Vec<u64>,
    bytes: usize,
    /// Views of many chunks point into one buffer, which counts once.
    buffers: HashSet<usize>,
}

impl Builder {
    /// What follows belongs to the row group that begins at `offset`.
    pub(super) fn begin_group(&mut self, offset: i64) {
        self.groups.push(Group { offset, chunk_count: 0 });
    }

    pub(super) fn push(&mut self, chunk: ArrayRef) -> Result<()> {
        self.count(&chunk.to_data());
        self.null_counts.push(chunk.null_count() as u64);
        if let Some((min, max)) = bounds(&chunk)? {
            self.min.push(min);
            self.max.push(max);
        }
        if let Some(group) = self.groups.last_mut() {
            group.chunk_count += 1;
        }
        self.chunks.push(chunk);
        Ok(())
    }

    fn count(&mut self, data: &ArrayData) {
        let validity = data.nulls().map(|nulls| nulls.buffer());
        for buffer in data.buffers().iter().chain(validity) {
            // A buffer counts as a whole: as long as a part of it is here, so is the rest.
            if self.buffers.insert(buffer.data_ptr().as_ptr() as usize) {
                self.bytes += buffer.capacity();
            }
        }
        for child in data.child_data() {
            self.count(child);
        }
    }

    pub(super) fn finish(self) -> Result<HotColumn> {
        let bounds = match self.min.is_empty() {
            true => None,
            false => Some(Bounds {
                min: ScalarValue::iter_to_array(self.min)?,
                max: ScalarValue::iter_to_array(self.max)?,
            }),
        };
        let of_bounds = bounds
            .as_ref()
            .map_or(0, |bounds| bounds.min.get_array_memory_size() + bounds.max.get_array_memory_size());
        let null_counts = UInt64Array::from(self.null_counts);
        let bytes = self.bytes + of_bounds + null_counts.get_array_memory_size();
        Ok(HotColumn { groups: self.groups, chunks: self.chunks, bounds, null_counts, bytes })
    }
}

/// The least and the greatest value. Floats have none: what a bound says of NaN depends on who made it.
fn bounds(chunk: &ArrayRef) -> Result<Option<(ScalarValue, ScalarValue)>> {
    fn of<T: ArrowNumericType>(values: &PrimitiveArray<T>) -> Result<(ScalarValue, ScalarValue)> {
        let scalar = |value| ScalarValue::new_primitive::<T>(value, values.data_type());
        Ok((scalar(compute::min(values))?, scalar(compute::max(values))?))
    }
    use DataType as T;
    let chunk = chunk.as_ref();
    Ok(match chunk.data_type() {
        T::Utf8View => {
            let text = |text: Option<&str>| ScalarValue::Utf8View(text.map(ToOwned::to_owned));
            let values = chunk.as_string_view();
            Some((text(compute::min_string_view(values)), text(compute::max_string_view(values))))
        }
        known if known.is_integer() || known.is_decimal() || known.is_temporal() => {
            downcast_primitive_array!(
                chunk => Some(of(chunk)?),
                _ => None
            )
        }
        _ => None,
    })
}

/// What is known of the chunks of some columns of a file, for filters.
pub(super) struct Known<'a> {
    pub(super) names: &'a [String],
    pub(super) columns: &'a [Arc<HotColumn>],
}

impl Known<'_> {
    fn find(&self, column: &Column) -> Option<&HotColumn> {
        let index = self.names.iter().position(|name| *name == column.name)?;
        self.columns.get(index).map(Arc::as_ref)
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.find(column)?.bounds.as_ref().map(|bounds| Arc::clone(&bounds.min))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.find(column)?.bounds.as_ref().map(|bounds| Arc::clone(&bounds.max))
    }

    fn num_containers(&self) -> usize {
        self.columns.first().map_or(0, |column| column.chunks.len())
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(Arc::new(self.find(column)?.null_counts.clone()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let chunks = &self.columns.first()?.chunks;
        Some(Arc::new(chunks.iter().map(|chunk| Some(chunk.len() as u64)).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

//! The buffers of one column while they grow.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{ByteArrayType, ByteViewType};
use arrow_array::{Array, ArrayRef, GenericByteArray, GenericByteViewArray};
use arrow_buffer::{ArrowNativeType as _, BooleanBufferBuilder, NullBufferBuilder};
use arrow_schema::{ArrowError, DataType};

use super::{Kept, Range, Store, Wrong};

/// A column of one batch.
#[derive(Debug)]
pub(super) struct Column {
    data_type: DataType,
    nulls: NullBufferBuilder,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// Values of so many bytes.
    Fixed(usize, Option<Range>),
    Boolean(BooleanBufferBuilder),
    Text(Text),
}

/// Texts or bytes of any length.
#[derive(Debug, Default)]
struct Text {
    /// Offsets of 8 bytes, instead of 4.
    is_large: bool,
    ranges: Option<(Range, Range)>,
    length: usize,
    /// Used again for each batch.
    offsets: Vec<u8>,
    bytes: Vec<u8>,
}

impl Column {
    /// None for a type that is not kept like this.
    pub(super) fn new(data_type: &DataType) -> Option<Self> {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Utf8 | DataType::Binary => Values::Text(Text::default()),
            DataType::LargeUtf8 | DataType::LargeBinary => {
                Values::Text(Text { is_large: true, ..Text::default() })
            }
            DataType::FixedSizeBinary(width) => {
                Values::Fixed(usize::try_from(*width).ok().filter(|width| *width > 0)?, None)
            }
            other => Values::Fixed(other.primitive_width()?, None),
        };
        Some(Self { data_type: data_type.clone(), nulls: NullBufferBuilder::new(0), values })
    }

    /// Whether there are at most `text_max` bytes of text, with `array`: as many as its offsets can count.
    pub(super) fn has_room_for(&self, array: &dyn Array, text_max: usize) -> bool {
        match &self.values {
            Values::Text(text) if !text.is_large => {
                let length = text.length.checked_add(text_length(array));
                length.is_some_and(|length| length <= text_max)
            }
            _ => true,
        }
    }

    pub(super) fn append(&mut self, store: &mut Store, array: &ArrayRef) -> Result<(), Wrong> {
        match array.nulls() {
            Some(nulls) => self.nulls.append_buffer(nulls),
            None => self.nulls.append_n_non_nulls(array.len()),
        }
        match (&mut self.values, array.data_type()) {
            (Values::Text(text), DataType::Utf8View) => text.append_views(store, array.as_string_view()),
            (Values::Text(text), DataType::BinaryView) => text.append_views(store, array.as_binary_view()),
            (_, other) if *other != self.data_type => {
                let message = format!("a column of {} holds {other}", self.data_type);
                Err(ArrowError::InvalidArgumentError(message).into())
            }
            (Values::Text(text), DataType::Utf8) => text.append(store, array.as_string::<i32>()),
            (Values::Text(text), DataType::LargeUtf8) => text.append(store, array.as_string::<i64>()),
            (Values::Text(text), DataType::Binary) => text.append(store, array.as_binary::<i32>()),
            (Values::Text(text), _) => text.append(store, array.as_binary::<i64>()),
            (Values::Boolean(values), _) => {
                values.append_buffer(array.as_boolean().values());
                Ok(())
            }
            (Values::Fixed(width, range), _) => {
                let data = array.to_data();
                let bytes = data.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
                let from = data.offset() * *width;
                let bytes = &bytes[from..from + data.len() * *width];
                let range = range.get_or_insert_with(|| store.range());
                store.write(range, bytes)
            }
        }
    }

    pub(super) fn finish(mut self, store: &mut Store) -> Result<Kept, Wrong> {
        let nulls = self.nulls.finish();
        let (count, nulls) = match &nulls {
            Some(nulls) => (nulls.null_count(), whole(store, nulls.validity())?),
            None => (0, None),
        };
        let mut buffers = vec![nulls];
        match self.values {
            Values::Fixed(_, range) => buffers.push(range.and_then(|range| store.keep(&range))),
            Values::Boolean(mut values) => {
                let values = values.finish();
                buffers.push(whole(store, values.values())?);
            }
            Values::Text(text) => match text.ranges {
                Some((offsets, bytes)) => buffers.extend([store.keep(&offsets), store.keep(&bytes)]),
                None => buffers.extend([None, None]),
            },
        }
        Ok(Kept { nulls: count, buffers })
    }
}

/// A buffer that is complete.
fn whole(store: &mut Store, bytes: &[u8]) -> Result<Option<usize>, Wrong> {
    let mut range = store.range();
    store.write(&mut range, bytes)?;
    Ok(store.keep(&range))
}

/// How many bytes the texts of `array` are.
fn text_length(array: &dyn Array) -> usize {
    fn spanned<T: ByteArrayType>(array: &GenericByteArray<T>) -> usize {
        let offsets = array.value_offsets();
        offsets[array.len()].as_usize() - offsets[0].as_usize()
    }
    fn viewed<T: ByteViewType>(array: &GenericByteViewArray<T>) -> usize {
        array.iter().flatten().map(|value| AsRef::<[u8]>::as_ref(value).len()).sum()
    }
    match array.data_type() {
        DataType::Utf8 => spanned(array.as_string::<i32>()),
        DataType::Binary => spanned(array.as_binary::<i32>()),
        DataType::Utf8View => viewed(array.as_string_view()),
        DataType::BinaryView => viewed(array.as_binary_view()),
        _ => 0,
    }
}

impl Text {
    fn append<T: ByteArrayType>(
        &mut self,
        store: &mut Store,
        array: &GenericByteArray<T>,
    ) -> Result<(), Wrong> {
        let offsets = array.value_offsets();
        let (first, last) = (offsets[0].as_usize(), offsets[array.len()].as_usize());
        self.begin();
        for offset in &offsets[1..] {
            self.push(self.length + offset.as_usize() - first);
        }
        self.length += last - first;
        self.write(store, Some(&array.value_data()[first..last]))
    }

    fn append_views<T: ByteViewType>(
        &mut self,
        store: &mut Store,
        array: &GenericByteViewArray<T>,
    ) -> Result<(), Wrong> {
        self.begin();
        for value in array {
            if let Some(value) = value {
                let value: &[u8] = value.as_ref();
                self.length += value.len();
                self.bytes.extend_from_slice(value);
            }
            self.push(self.length);
        }
        self.write(store, None)
    }

    fn begin(&mut self) {
        self.offsets.clear();
        self.bytes.clear();
        if self.ranges.is_none() {
            self.push(0);
        }
    }

    fn push(&mut self, offset: usize) {
        if self.is_large {
            self.offsets.extend_from_slice(&(offset as u64).to_le_bytes());
        } else {
            // `has_room_for` has seen that it fits.
            self.offsets.extend_from_slice(&(offset as u32).to_le_bytes());
        }
    }

    /// What `begin` and `push` have collected, with `bytes` or those that were collected too.
    fn write(&mut self, store: &mut Store, bytes: Option<&[u8]>) -> Result<(), Wrong> {
        let (offsets, values) = self.ranges.get_or_insert_with(|| (store.range(), store.range()));
        store.write(offsets, &self.offsets)?;
        store.write(values, bytes.unwrap_or(&self.bytes))
    }
}

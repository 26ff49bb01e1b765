//! Values as JSON, shared by JSON, NDJSON and CSV, so that the three agree.
//!
//! | Arrow                     | JSON                                | tag                 |
//! |---------------------------|-------------------------------------|---------------------|
//! | integers to 32 bits       | number                              | `number`            |
//! | 64-bit integers           | number, a string beyond ±(2^53 - 1) | `integer_or_string` |
//! | floats                    | number; `"NaN"`, `"Infinity"`, `"-Infinity"` | `number_or_string` |
//! | decimals                  | string: never through a double      | `string`            |
//! | text, dates, times        | string; RFC 3339 for times          | `string`            |
//! | binary                    | string, base64                      | `string`            |
//! | lists                     | array                               | `array`             |
//! | structs, maps             | object                              | `object`            |

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayAccessor, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::internal;
use super::numbers::{Dates, Decimals, Int64s, Times, UInt64s};
use crate::error::{Error, Result};

/// Arrow's own encoders.
static PLAIN: LazyLock<EncoderOptions> =
    LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));

/// Ours where they differ, at every depth.
static EXACT: LazyLock<EncoderOptions> = LazyLock::new(|| {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Exact))
});

/// Writes one row as an array, or its only value bare.
pub(super) fn row(columns: &mut [NullableEncoder<'_>], row: usize, nested: bool, out: &mut Vec<u8>) {
    if nested {
        out.push(b'[');
    }
    for (index, column) in columns.iter_mut().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if column.is_null(row) {
            out.extend_from_slice(b"null");
        } else {
            column.encode(row, out);
        }
    }
    if nested {
        out.push(b']');
    }
}

/// What kind of JSON value a column holds beside `null`.
pub(super) fn json_tag(data_type: &DataType) -> &'static str {
    use DataType as T;
    match data_type {
        T::Null => "null",
        T::Boolean => "boolean",
        T::Int64 | T::UInt64 => "integer_or_string",
        T::Float16 | T::Float32 | T::Float64 => "number_or_string",
        other if other.is_integer() => "number",
        T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::ListView(_) | T::LargeListView(_) => "array",
        T::Struct(_) | T::Map(..) => "object",
        T::Dictionary(_, value) => json_tag(value),
        T::RunEndEncoded(_, value) => json_tag(value.data_type()),
        _ => "string",
    }
}

/// Whether there is an encoder for each column; asked before the first byte, not at the first row.
pub(super) fn check(fields: &[FieldRef]) -> Result<()> {
    for field in fields {
        let empty = arrow::array::new_empty_array(field.data_type());
        if let Err(cause) = encoder(field, &empty) {
            return Err(Error::NotSupported(format!(
                "the column `{}` of type {} cannot be written as text: {cause}; ask for Arrow or Parquet",
                field.name(),
                field.data_type()
            )));
        }
    }
    Ok(())
}

/// Encoders for the columns of a batch.
pub(super) fn encoders<'a>(
    fields: &'a [FieldRef],
    batch: &'a RecordBatch,
) -> Result<Vec<NullableEncoder<'a>>> {
    fields.iter().zip(batch.columns()).map(|(field, column)| encoder_of(field, column)).collect()
}

/// An encoder for one column.
pub(super) fn encoder_of<'a>(field: &'a FieldRef, column: &'a ArrayRef) -> Result<NullableEncoder<'a>> {
    encoder(field, column).map_err(internal)
}

fn encoder<'a>(
    field: &'a FieldRef,
    column: &'a ArrayRef,
) -> std::result::Result<NullableEncoder<'a>, ArrowError> {
    make_encoder(field, column.as_ref(), &EXACT)
}

/// Appends `text` as a JSON string.
pub(super) fn string(text: &str, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, text).map_err(Error::internal)
}

/// The text inside a JSON value. Strings lose their quotes and escapes, the rest is text as it is.
pub(super) fn plain<'a>(json: &'a [u8], text: &'a mut String) -> Result<&'a [u8]> {
    match json {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => Ok(inner),
        [b'"', ..] => {
            *text = serde_json::from_slice(json).map_err(Error::internal)?;
            Ok(text.as_bytes())
        }
        other => Ok(other),
    }
}

/// Encoders for types that JSON cannot hold exactly, or that are slow to write otherwise.
#[derive(Debug)]
struct Exact;

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> std::result::Result<Option<NullableEncoder<'a>>, ArrowError> {
        use DataType as T;
        let plain = || make_encoder(field, array, &PLAIN);
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            T::Int64 => Box::new(Int64s(array.as_primitive())),
            T::UInt64 => Box::new(UInt64s(array.as_primitive())),
            T::Date32 => Box::new(Dates { values: array.as_primitive(), plain: plain()? }),
            T::Timestamp(TimeUnit::Microsecond, None) => {
                Box::new(Times { values: array.as_primitive(), plain: plain()? })
            }
            T::Decimal128(_, scale @ 0..) => {
                Box::new(Decimals { values: array.as_primitive(), scale: usize::from(scale.unsigned_abs()) })
            }
            T::Float16 => {
                let values = array.as_primitive::<Float16Type>();
                Box::new(Float { plain: plain()?, value: |i| values.value(i).to_f64() })
            }
            T::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                Box::new(Float { plain: plain()?, value: |i| f64::from(values.value(i)) })
            }
            T::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                Box::new(Float { plain: plain()?, value: |i| values.value(i) })
            }
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
                Box::new(Quoted(plain()?))
            }
            T::Binary => Box::new(Base64(array.as_binary::<i32>())),
            T::LargeBinary => Box::new(Base64(array.as_binary::<i64>())),
            T::BinaryView => Box::new(Base64(array.as_binary_view())),
            T::FixedSizeBinary(_) => Box::new(Base64(array.as_fixed_size_binary())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Numbers in quotes.
struct Quoted<'a>(NullableEncoder<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        self.0.encode(index, out);
        out.push(b'"');
    }
}

/// Floats, with names for those that JSON has no number for.
struct Float<'a, V> {
    plain: NullableEncoder<'a>,
    value: V,
}

impl<V: Fn(usize) -> f64> Encoder for Float<'_, V> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = (self.value)(index);
        if value.is_finite() {
            self.plain.encode(index, out);
        } else if value.is_nan() {
            out.extend_from_slice(b"\"NaN\"");
        } else if value > 0.0 {
            out.extend_from_slice(b"\"Infinity\"");
        } else {
            out.extend_from_slice(b"\"-Infinity\"");
        }
    }
}

/// Bytes.
struct Base64<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for Base64<A> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(STANDARD.encode(self.0.value(index)).as_bytes());
        out.push(b'"');
    }
}

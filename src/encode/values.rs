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
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::internal;
use crate::error::{Error, Result};

/// The largest integer that a double, and with it JavaScript, holds exactly with all its neighbours.
const EXACT_MAX: u64 = (1 << 53) - 1;

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
    fields
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| encoder(field, column).map_err(internal))
        .collect()
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

/// Encoders for types that JSON cannot hold exactly.
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
            T::Int64 => {
                let values = array.as_primitive::<Int64Type>();
                Box::new(QuotedIf { plain: plain()?, quoted: |i| values.value(i).unsigned_abs() > EXACT_MAX })
            }
            T::UInt64 => {
                let values = array.as_primitive::<UInt64Type>();
                Box::new(QuotedIf { plain: plain()?, quoted: |i| values.value(i) > EXACT_MAX })
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
                Box::new(QuotedIf { plain: plain()?, quoted: |_| true })
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

/// Numbers, in quotes where a double would change them.
struct QuotedIf<'a, Q> {
    plain: NullableEncoder<'a>,
    quoted: Q,
}

impl<Q: Fn(usize) -> bool> Encoder for QuotedIf<'_, Q> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        if (self.quoted)(index) {
            out.push(b'"');
            self.plain.encode(index, out);
            out.push(b'"');
        } else {
            self.plain.encode(index, out);
        }
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

//! What every function needs to read its arguments: any mix of columns and constants becomes arrays of one type.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Int64Array, StringViewArray, StringViewBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion_common::types::{NativeType, logical_date, logical_int64, logical_string};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{
    Coercion, ColumnarValue, ScalarFunctionArgs, Signature, TypeSignature, TypeSignatureClass, Volatility,
};

/// Longest text that a function here makes of one value, in bytes. Normalising makes some characters eleven times as
/// long, and what is read from a file has no bound.
pub const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A date; timestamps count as the day in their time zone, and text as the date that it spells.
pub(crate) fn date() -> Coercion {
    let sources = vec![TypeSignatureClass::Timestamp, TypeSignatureClass::Native(logical_string())];
    Coercion::new_implicit(TypeSignatureClass::Native(logical_date()), sources, NativeType::Date)
}

/// An integer of any width.
pub(crate) fn integer() -> Coercion {
    let sources = vec![TypeSignatureClass::Integer];
    Coercion::new_implicit(TypeSignatureClass::Native(logical_int64()), sources, NativeType::Int64)
}

/// Text of any layout.
pub(crate) fn text() -> Coercion {
    Coercion::new_exact(TypeSignatureClass::Native(logical_string()))
}

/// `required`, in this order.
pub(crate) fn signature(required: impl Into<Vec<Coercion>>) -> Signature {
    Signature::coercible(required.into(), Volatility::Immutable)
}

/// `required`, with or without `optional` after them.
pub(crate) fn signature_with(required: impl Into<Vec<Coercion>>, optional: Coercion) -> Signature {
    let short = required.into();
    let long = [short.clone(), vec![optional]].concat();
    let both = vec![TypeSignature::Coercible(short), TypeSignature::Coercible(long)];
    Signature::one_of(both, Volatility::Immutable)
}

/// Runs `kernel` over arrays of one length. Constants alone are one row, and their outcome is a constant again.
pub(crate) fn over_arrays(
    args: ScalarFunctionArgs,
    kernel: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let n_rows = if constant { 1 } else { args.number_rows };
    let arrays: Vec<_> = args.args.into_iter().map(|arg| arg.into_array(n_rows)).collect::<Result<_>>()?;
    let result = kernel(&arrays)?;
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
    }
    Ok(ColumnarValue::Array(result))
}

pub(crate) fn dates(array: &ArrayRef) -> Result<Date32Array> {
    Ok(cast(array, &DataType::Date32)?.as_primitive::<Date32Type>().clone())
}

pub(crate) fn integers(array: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The text of any layout as views, which point into the bytes that are there.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringViewArray> {
    Ok(cast(array, &DataType::Utf8View)?.as_string_view().clone())
}

/// An optional argument.
pub(crate) fn optional<T>(
    arrays: &[ArrayRef],
    at: usize,
    read: impl Fn(&ArrayRef) -> Result<T>,
) -> Result<Option<T>> {
    arrays.get(at).map(read).transpose()
}

/// Maps each text by `write`, which appends the new text to an empty buffer.
pub(crate) fn map_texts(
    name: &str,
    args: ScalarFunctionArgs,
    write: impl Fn(&str, &mut String),
) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let texts = texts(&arrays[0])?;
        let mut mapped = StringViewBuilder::with_capacity(texts.len());
        let mut buffer = String::new();
        for text in &texts {
            let Some(text) = text else {
                mapped.append_null();
                continue;
            };
            buffer.clear();
            if text.len() <= TEXT_BYTES_MAX {
                write(text, &mut buffer);
            }
            if text.len().max(buffer.len()) > TEXT_BYTES_MAX {
                return exec_err!(
                    "`{name}` would make a text of more than {TEXT_BYTES_MAX} bytes of one of {} bytes",
                    text.len()
                );
            }
            mapped.append_value(&buffer);
        }
        Ok(Arc::new(mapped.finish()))
    })
}

//! Small results as JSON text, for answers that hold them whole.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::values;
use crate::error::Result;

/// The rows as an array of arrays, in the order of the schema's columns.
///
/// # Errors
/// `NotSupported` when a column has no JSON form.
pub fn json_rows(schema: &Schema, batches: &[RecordBatch]) -> Result<String> {
    array(schema, batches, true)
}

/// The values of the first column as an array.
///
/// # Errors
/// `NotSupported` when it has no JSON form.
pub fn json_column(schema: &Schema, batches: &[RecordBatch]) -> Result<String> {
    array(schema, batches, false)
}

fn array(schema: &Schema, batches: &[RecordBatch], nested: bool) -> Result<String> {
    let mut out = vec![b'['];
    let mut first = true;
    for batch in batches {
        let mut columns = values::encoders(schema.fields(), batch)?;
        for row in 0..batch.num_rows() {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            values::row(&mut columns, row, nested, &mut out);
        }
    }
    out.push(b']');
    String::from_utf8(out).map_err(crate::error::Error::internal)
}

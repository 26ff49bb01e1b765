//! JSON: one object, with the rows as arrays in the order of `columns`.
//!
//! ```text
//! {"data":{"query_id":"q_…","columns":[{"name":"id","type":"int64","json":"integer_or_string"}],
//! "rows":[[1],[2]],"row_count":2,"truncated":false,"complete":true},"meta":{"request_id":"req_…"}}
//! ```
//!
//! A query that fails after its first rows closes the array, and says `"complete":false` with an `error`.

use std::io::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use serde_json::json;

use super::out::Out;
use super::{Encoder, Options, slices, values};
use crate::error::{Error, Result};

/// Writes one JSON object.
pub(super) struct Json {
    fields: Vec<FieldRef>,
    options: Options,
    /// Whether it names the query and the request.
    named: bool,
    rows: u64,
}

/// What stands before the columns.
pub(super) fn head(query_id: Option<&str>) -> Result<Vec<u8>> {
    let mut out = b"{\"data\":{".to_vec();
    if let Some(id) = query_id {
        out.extend_from_slice(b"\"query_id\":");
        values::string(id, &mut out)?;
        out.push(b',');
    }
    Ok(out)
}

/// What stands after the data.
pub(super) fn tail(request_id: &str) -> Vec<u8> {
    format!(",\"meta\":{}}}", json!({ "request_id": request_id })).into_bytes()
}

impl Json {
    pub(super) fn new(schema: &Schema, options: Options) -> Result<Self> {
        let fields = schema.fields().to_vec();
        values::check(&fields)?;
        Ok(Self { fields, options, named: true, rows: 0 })
    }

    /// One without [`head`] and [`tail`].
    pub(super) fn unnamed(schema: &Schema, options: Options) -> Result<Self> {
        Ok(Self { named: false, ..Self::new(schema, options)? })
    }

    /// What stands after the rows.
    fn close(&self, truncated: bool, error: Option<&Error>, out: &mut Vec<u8>) -> Result<()> {
        let complete = error.is_none();
        write!(out, "],\"row_count\":{},\"truncated\":{truncated},\"complete\":{complete}", self.rows)
            .map_err(Error::internal)?;
        if let Some(error) = error {
            let error =
                json!({ "code": error.code(), "message": error.to_string(), "details": error.details() });
            write!(out, ",\"error\":{error}").map_err(Error::internal)?;
        }
        out.push(b'}');
        if self.named {
            out.extend_from_slice(&tail(&self.options.request_id));
        }
        Ok(())
    }
}

impl Encoder for Json {
    fn begin(&mut self, out: &mut Out) -> Result<()> {
        let out = &mut out.text;
        if self.named {
            out.extend_from_slice(&head(self.options.query_id.as_deref())?);
        }
        let columns = self.fields.iter().map(|field| {
            json!({
                "name": field.name(),
                "type": (self.options.type_name)(field.data_type()),
                "json": values::json_tag(field.data_type()),
            })
        });
        let columns = serde_json::Value::Array(columns.collect());
        write!(out, "\"columns\":{columns},\"rows\":[").map_err(Error::internal)
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        let out = &mut out.text;
        for slice in slices(batch) {
            let mut columns = values::encoders(&self.fields, &slice)?;
            for row in 0..slice.num_rows() {
                out.extend_from_slice(if self.rows == 0 { b"\n" } else { b",\n" });
                self.rows += 1;
                values::row(&mut columns, row, true, out);
            }
        }
        Ok(())
    }

    fn end(&mut self, truncated: bool, out: &mut Out) -> Result<()> {
        self.close(truncated, None, &mut out.text)
    }

    fn fail(&mut self, error: Error, out: &mut Out) -> Result<()> {
        self.close(false, Some(&error), &mut out.text)
    }
}

//! NDJSON: one object a row, and a last line that says how it ended: `{"done":{"rows":2,"truncated":false}}`
//! or `{"error":{…}}`. A body without such a line was cut off on the way.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use serde_json::json;

use super::out::Out;
use super::{Encoder, slices, values};
use crate::error::{Error, Result};

/// Writes one JSON object a line.
pub(super) struct Ndjson {
    fields: Vec<FieldRef>,
    /// `"name":` of each column, the later ones with a comma in front.
    keys: Vec<Vec<u8>>,
    rows: u64,
}

impl Ndjson {
    pub(super) fn new(schema: &Schema) -> Result<Self> {
        let fields = schema.fields().to_vec();
        values::check(&fields)?;
        let names = unique(fields.iter().map(|field| field.name().as_str()));
        let keys = names.iter().enumerate().map(|(index, name)| {
            let mut key = if index > 0 { vec![b','] } else { Vec::new() };
            values::string(name, &mut key)?;
            key.push(b':');
            Ok(key)
        });
        Ok(Self { keys: keys.collect::<Result<_>>()?, fields, rows: 0 })
    }
}

/// Names, where the second `a` becomes `a_2`: an object holds a name only once, and a reader would
/// silently lose the other.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: Vec<_> = names.collect();
    let mut taken: HashSet<String> = HashSet::new();
    let given: HashSet<&str> = names.iter().copied().collect();
    names
        .into_iter()
        .map(|name| {
            let mut free = name.to_owned();
            let mut number = 2_u64;
            while taken.contains(&free) || (free != name && given.contains(free.as_str())) {
                free = format!("{name}_{number}");
                number += 1;
            }
            taken.insert(free.clone());
            free
        })
        .collect()
}

impl Encoder for Ndjson {
    fn begin(&mut self, _: &mut Out) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        let out = &mut out.text;
        for slice in slices(batch) {
            let mut columns = values::encoders(&self.fields, &slice)?;
            for row in 0..slice.num_rows() {
                out.push(b'{');
                for (key, column) in self.keys.iter().zip(&mut columns) {
                    out.extend_from_slice(key);
                    if column.is_null(row) {
                        out.extend_from_slice(b"null");
                    } else {
                        column.encode(row, out);
                    }
                }
                out.extend_from_slice(b"}\n");
                self.rows += 1;
            }
        }
        Ok(())
    }

    fn end(&mut self, truncated: bool, out: &mut Out) -> Result<()> {
        let out = &mut out.text;
        let line = json!({ "done": { "rows": self.rows, "truncated": truncated } });
        out.extend_from_slice(line.to_string().as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn fail(&mut self, error: Error, out: &mut Out) -> Result<()> {
        let out = &mut out.text;
        let error = json!({ "code": error.code(), "message": error.to_string(), "details": error.details() });
        out.extend_from_slice(json!({ "error": error }).to_string().as_bytes());
        out.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice() {
        check(&["a", "b"], &["a", "b"]);
        check(&["a", "a", "a"], &["a", "a_2", "a_3"]);
        check(&["a", "a", "a_2"], &["a", "a_3", "a_2"]);
        check(&["", ""], &["", "_2"]);

        #[track_caller]
        fn check(names: &[&str], expected: &[&str]) {
            assert_eq!(unique(names.iter().copied()), expected);
        }
    }
}

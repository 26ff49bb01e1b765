//! Small statements of our own, of which the first row is wanted.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt as _;

use super::{Engine, QuerySpec};
use crate::error::{Error, Result};

/// A row as text: each column's name, and its value unless that is NULL.
pub type Row = Vec<(String, Option<String>)>;

impl Engine {
    /// The first row of a statement; none when there is none.
    ///
    /// # Errors
    /// As [`Engine::run`], and what the rows fail with.
    pub async fn first_row(&self, mut spec: QuerySpec) -> Result<Option<Row>> {
        spec.limits.rows = Some(1);
        let mut rows = self.run(spec).await?;
        let schema = Arc::clone(rows.schema());
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let options = FormatOptions::default();
            let mut row = Row::with_capacity(batch.num_columns());
            for (column, field) in batch.columns().iter().zip(schema.fields()) {
                let text = ArrayFormatter::try_new(column, &options).map_err(Error::internal)?;
                let value = (!column.is_null(0)).then(|| text.value(0).to_string());
                row.push((field.name().clone(), value));
            }
            return Ok(Some(row));
        }
        Ok(None)
    }
}

/// A row in a message.
#[must_use]
pub fn shown(row: &Row) -> String {
    let each = row.iter().map(|(name, value)| format!("{name} = {}", value.as_deref().unwrap_or("NULL")));
    each.collect::<Vec<_>>().join(", ")
}

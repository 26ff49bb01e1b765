//! What differs between the rows of two versions: by key, which were added, removed and changed; and how the values of
//! each column moved.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use serde::Serialize;
use serde_json::json;

use super::look::quoted;
use super::service::Datasets;
use crate::auth::{Action, Principal};
use crate::catalog::Manifest;
use crate::catalog::manifest::Column;
use crate::engine::{Parameters, QueryStream, Row};
use crate::error::{Error, Result};
use crate::ids::DatasetId;

/// The two versions, as the statements name them.
const OLD: &str = "old_rows";
const NEW: &str = "new_rows";
/// Columns of ours that say whether a row is there.
const IN_OLD: &str = "shirabe:in_old";
const IN_NEW: &str = "shirabe:in_new";

/// How long one of the statements may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Columns that are compared at most.
const COLUMNS_MAX: usize = 200;

/// Which rows differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differing {
    Added,
    Removed,
    /// As they are in the newer version.
    Changed,
}

/// How many rows differ, and how columns moved.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RowDiff {
    pub from: u64,
    pub to: u64,
    /// The columns by which rows are the same row.
    pub keys: Vec<String>,
    pub added_count: u64,
    pub removed_count: u64,
    pub changed_count: u64,
    pub unchanged_count: u64,
    /// Columns that both versions have.
    pub columns: Vec<ColumnDrift>,
}

/// How the values of a column moved.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ColumnDrift {
    pub column: String,
    /// Rows of both versions in which it differs.
    pub changed_count: u64,
    pub from: ColumnFigures,
    pub to: ColumnFigures,
}

/// What the values of a column are like. Values are text, so that none loses digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ColumnFigures {
    pub null_count: u64,
    /// An estimate.
    pub distinct_count: u64,
    pub min: Option<String>,
    pub max: Option<String>,
    /// Of numbers.
    pub mean: Option<String>,
}

/// Two versions that are compared by key.
#[derive(Debug)]
pub struct Pair {
    from: Arc<Manifest>,
    to: Arc<Manifest>,
    keys: Vec<String>,
    principal: Principal,
}

impl Datasets {
    /// Two versions whose rows are the same row when their `keys` are equal.
    ///
    /// # Errors
    /// `NotFound` for a version that is not kept; `Invalid` when a key is not a column of both; `BadData` when rows
    /// of one version share their keys.
    pub async fn pair(
        &self,
        principal: &Principal,
        id: &DatasetId,
        (from, to): (u64, u64),
        keys: Vec<String>,
    ) -> Result<Pair> {
        self.allowed(principal, Action::ReadDataset, id).await?;
        let (_, old) = self.version(principal, id, from).await?;
        let (_, new) = self.version(principal, id, to).await?;
        if keys.is_empty() {
            return Err(Error::invalid_field("keys", "`keys` names no column"));
        }
        for (manifest, number) in [(&old, from), (&new, to)] {
            let missing = keys.iter().find(|key| !manifest.columns.iter().any(|column| column.name == **key));
            if let Some(missing) = missing {
                let message = format!("`keys`: version {number} has no column `{missing}`");
                return Err(Error::invalid_field("keys", message));
            }
        }
        let pair = Pair { from: old, to: new, keys, principal: principal.clone() };
        for (table, number) in [(OLD, from), (NEW, to)] {
            let columns = listed(&pair.keys);
            let statement = format!(
                "SELECT count(*) AS n FROM (SELECT 1 FROM {table} GROUP BY {columns} HAVING count(*) > 1) AS repeated"
            );
            let repeated = number_at(&self.row_of(&pair, statement).await?, 0);
            if repeated > 0 {
                let message = format!(
                    "{repeated} keys ({}) are in more than one row of version {number}: name columns that tell all rows apart",
                    pair.keys.join(", ")
                );
                return Err(Error::Invalid {
                    message,
                    details: json!({ "field": "keys", "version": number }),
                });
            }
        }
        Ok(pair)
    }

    /// How many rows differ, and how columns moved.
    ///
    /// # Errors
    /// As a query.
    pub async fn row_diff(&self, pair: &Pair) -> Result<RowDiff> {
        let compared = pair.compared();
        let differs: Vec<_> = compared.iter().map(|(old, new)| differs(old, new)).collect();
        let any = any_of(&differs);
        let both = format!("o.\"{IN_OLD}\" IS NOT NULL AND n.\"{IN_NEW}\" IS NOT NULL");
        let mut counts = vec![
            format!("count(*) FILTER (WHERE o.\"{IN_OLD}\" IS NULL)"),
            format!("count(*) FILTER (WHERE n.\"{IN_NEW}\" IS NULL)"),
            format!("count(*) FILTER (WHERE {both} AND ({any}))"),
            format!("count(*) FILTER (WHERE {both})"),
        ];
        counts.extend(differs.iter().map(|differs| format!("count(*) FILTER (WHERE {both} AND {differs})")));
        let named = counts.iter().enumerate().map(|(at, count)| format!("{count} AS c{at}"));
        let statement = format!("SELECT {} {}", named.collect::<Vec<_>>().join(", "), pair.joined());
        let row = self.row_of(pair, statement).await?;
        let (old, new) =
            (self.figures(pair, OLD, &compared).await?, self.figures(pair, NEW, &compared).await?);
        let columns =
            compared.iter().zip(old.into_iter().zip(new)).enumerate().map(|(at, ((old, _), figures))| {
                let (from, to) = figures;
                ColumnDrift { column: old.name.clone(), changed_count: number_at(&row, 4 + at), from, to }
            });
        let (changed, both) = (number_at(&row, 2), number_at(&row, 3));
        Ok(RowDiff {
            from: pair.from.number,
            to: pair.to.number,
            keys: pair.keys.clone(),
            added_count: number_at(&row, 0),
            removed_count: number_at(&row, 1),
            changed_count: changed,
            unchanged_count: both.saturating_sub(changed),
            columns: columns.collect(),
        })
    }

    /// Rows that differ in one way, up to `limit`.
    ///
    /// # Errors
    /// As a query.
    pub async fn differing_rows(&self, pair: &Pair, which: Differing, limit: u64) -> Result<QueryStream> {
        let (side, condition) = match which {
            Differing::Added => ("n", format!("o.\"{IN_OLD}\" IS NULL")),
            Differing::Removed => ("o", format!("n.\"{IN_NEW}\" IS NULL")),
            Differing::Changed => {
                let differs: Vec<_> = pair.compared().iter().map(|(old, new)| differs(old, new)).collect();
                let any = any_of(&differs);
                ("n", format!("o.\"{IN_OLD}\" IS NOT NULL AND n.\"{IN_NEW}\" IS NOT NULL AND ({any})"))
            }
        };
        let manifest = if which == Differing::Removed { &pair.from } else { &pair.to };
        let columns = manifest.columns.iter().map(|column| format!("{side}.{}", quoted(&column.name)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let statement = format!("SELECT {columns} {} WHERE {condition} LIMIT {limit}", pair.joined());
        self.parts.engine.run(pair.spec(self, statement)).await
    }

    async fn row_of(&self, pair: &Pair, statement: String) -> Result<Row> {
        let row = self.parts.engine.first_row(pair.spec(self, statement)).await?;
        row.ok_or_else(|| Error::internal("an aggregate without a row"))
    }

    async fn figures(
        &self,
        pair: &Pair,
        table: &str,
        compared: &[(Column, Column)],
    ) -> Result<Vec<ColumnFigures>> {
        if compared.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = Vec::new();
        for (at, (old, new)) in compared.iter().enumerate() {
            let column = if table == OLD { old } else { new };
            let name = quoted(&column.name);
            let mean = match column.data_type.is_numeric() {
                true => format!("avg({name})"),
                false => "CAST(NULL AS DOUBLE)".to_owned(),
            };
            let bounds = match column.data_type {
                DataType::Boolean => ["CAST(NULL AS VARCHAR)".to_owned(), "CAST(NULL AS VARCHAR)".to_owned()],
                _ => [format!("min({name})"), format!("max({name})")],
            };
            wanted.push(format!(
                "count(*) FILTER (WHERE {name} IS NULL) AS a{at}, count(DISTINCT {name}) AS b{at}, {} AS c{at}, {} AS d{at}, {mean} AS e{at}",
                bounds[0], bounds[1]
            ));
        }
        let row = self.row_of(pair, format!("SELECT {} FROM {table}", wanted.join(", "))).await?;
        let text = |at: usize| row.get(at).and_then(|(_, value)| value.clone());
        let each = (0..compared.len()).map(|at| ColumnFigures {
            null_count: number_at(&row, 5 * at),
            distinct_count: number_at(&row, 5 * at + 1),
            min: text(5 * at + 2),
            max: text(5 * at + 3),
            mean: text(5 * at + 4),
        });
        Ok(each.collect())
    }
}

impl Pair {
    /// The columns of the newer version, as rows that differ have them.
    #[must_use]
    pub fn to(&self) -> &Arc<Manifest> {
        &self.to
    }

    /// Columns that both versions have, but for the keys, as each has them.
    fn compared(&self) -> Vec<(Column, Column)> {
        let old = self.from.columns.iter().filter(|column| !self.keys.contains(&column.name));
        let pairs = old.filter_map(|old| {
            let new = self.to.columns.iter().find(|new| new.name == old.name)?;
            // Lists and structures have no order, and no bounds.
            (!old.data_type.is_nested() && !new.data_type.is_nested()).then(|| (old.clone(), new.clone()))
        });
        pairs.take(COLUMNS_MAX).collect()
    }

    fn joined(&self) -> String {
        let same: Vec<_> =
            self.keys.iter().map(|key| format!("(o.{0} IS NOT DISTINCT FROM n.{0})", quoted(key))).collect();
        format!(
            "FROM (SELECT true AS \"{IN_OLD}\", * FROM {OLD}) AS o FULL JOIN (SELECT true AS \"{IN_NEW}\", * FROM {NEW}) AS n ON {}",
            same.join(" AND ")
        )
    }

    fn spec(&self, datasets: &Datasets, statement: String) -> crate::engine::QuerySpec {
        let tables = [(OLD.to_owned(), Arc::clone(&self.from)), (NEW.to_owned(), Arc::clone(&self.to))];
        let user = self.principal.user_id.clone();
        datasets.parts.engine.over(user, statement, Parameters::new(), tables, (DEADLINE, datasets.now()))
    }
}

/// Whether a row differs in one of these ways; `false` where there is nothing to compare.
fn any_of(differs: &[String]) -> String {
    if differs.is_empty() { "false".to_owned() } else { differs.join(" OR ") }
}

fn differs(old: &Column, new: &Column) -> String {
    let name = quoted(&old.name);
    if old.data_type == new.data_type {
        return format!("(o.{name} IS DISTINCT FROM n.{name})");
    }
    // Of another type by now: what is shown is compared.
    format!("(CAST(o.{name} AS VARCHAR) IS DISTINCT FROM CAST(n.{name} AS VARCHAR))")
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

fn number_at(row: &Row, at: usize) -> u64 {
    row.get(at).and_then(|(_, value)| value.as_ref()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

//! What the values of a column are like: how many, which, how spread.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::util::display::array_value_to_string;
use datafusion::functions::expr_fn::floor;
use datafusion::functions_aggregate::expr_fn::{approx_distinct, count, max, min};
use datafusion::prelude::{DataFrame, Expr, cast as cast_expr, ident, lit};
use futures::TryStreamExt as _;
use serde::Serialize;

use super::look::{find_column, quoted};
use super::service::Datasets;
use crate::auth::Principal;
use crate::catalog::Manifest;
use crate::catalog::manifest::{Column, type_name};
use crate::catalog::record::QueryKind;
use crate::engine::About;
use crate::error::Error;

/// Bars of a histogram.
const BUCKETS: u32 = 20;
/// How many of the most frequent values are told.
const FREQUENT: usize = 10;

/// A column's profile. Values are text in the form SQL reads back, so that no digit is lost.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ColumnProfile {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub row_count: u64,
    pub null_count: u64,
    /// NULLs among all rows, 0 to 1.
    pub null_share: f64,
    /// About how many different values there are (`HyperLogLog`, within about 2 %).
    pub distinct_estimate: u64,
    pub min: Option<String>,
    pub max: Option<String>,
    /// Equal steps between `min` and `max`; empty for types without a measure.
    pub histogram: Vec<Bucket>,
    /// The most frequent values, the first one the most frequent.
    pub frequent: Vec<Frequent>,
}

/// A bar of a histogram: values from `from` up to, and only in the last bar including, `to`.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Bucket {
    pub from: String,
    pub to: String,
    pub count: u64,
}

/// A value and how often it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Frequent {
    pub value: String,
    pub count: u64,
}

/// What is counted for the distinct estimate, which DataFusion has for every type but floats.
fn counted(value: &Expr, data_type: &DataType) -> Expr {
    match data_type.is_floating() {
        true => cast_expr(value.clone(), DataType::Utf8),
        false => value.clone(),
    }
}

impl Datasets {
    /// Profiles one column of a version.
    ///
    /// # Errors
    /// `NotFound` when there is no such column; `TimedOut`, `OverLimit` for what a query can run into.
    pub async fn profile(
        &self,
        principal: &Principal,
        manifest: &Arc<Manifest>,
        column: &str,
    ) -> Result<ColumnProfile, Error> {
        let column = find_column(manifest, column)?;
        let about = || {
            self.about(principal, QueryKind::Profile, manifest, |table| {
                format!("-- a profile of {} of {table}", quoted(&column.name))
            })
        };
        let value = ident(&column.name);
        let table = self.parts.engine.table(Arc::clone(manifest))?;
        if column.data_type.is_nested() {
            return Ok(bare(manifest, column));
        }
        let summary = vec![
            approx_distinct(counted(&value, &column.data_type)).alias("distinct"),
            min(value.clone()).alias("min"),
            max(value.clone()).alias("max"),
        ];
        let summary = table.clone().aggregate(Vec::new(), summary).map_err(Error::internal)?;
        let summary = self.gather(summary, about()).await?;
        let (low, high) = (summary.column(1), summary.column(2));
        Ok(ColumnProfile {
            distinct_estimate: summary.column(0).as_primitive::<UInt64Type>().value(0),
            min: text(low, 0)?,
            max: text(high, 0)?,
            histogram: self.histogram(table.clone(), &value, (low, high), about()).await?,
            frequent: self.frequent(table, value, about()).await?,
            ..bare(manifest, column)
        })
    }

    async fn frequent(&self, table: DataFrame, value: Expr, about: About) -> Result<Vec<Frequent>, Error> {
        let by_count = vec![ident("count").sort(false, false), ident("value").sort(true, false)];
        let found = table
            .filter(value.clone().is_not_null())
            .and_then(|rows| {
                rows.aggregate(vec![value.alias("value")], vec![count(lit(1_i64)).alias("count")])
            })
            .and_then(|groups| groups.sort(by_count))
            .and_then(|groups| groups.limit(0, Some(FREQUENT)))
            .map_err(Error::internal)?;
        let found = self.gather(found, about).await?;
        let counts = found.column(1).as_primitive::<Int64Type>();
        let each = (0..found.num_rows()).map(|row| {
            let value = text(found.column(0), row)?.unwrap_or_default();
            Ok(Frequent { value, count: counts.value(row).cast_unsigned() })
        });
        each.collect()
    }

    async fn histogram(
        &self,
        table: DataFrame,
        value: &Expr,
        (low, high): (&ArrayRef, &ArrayRef),
        about: About,
    ) -> Result<Vec<Bucket>, Error> {
        let Some(scale) = Scale::of(low, high)? else { return Ok(Vec::new()) };
        let step = (scale.measured(value.clone()) - lit(scale.from)) / lit(scale.width);
        let bucket = cast_expr(floor(step), DataType::Int64).alias("bucket");
        let found = table
            .filter(value.clone().is_not_null())
            .and_then(|rows| rows.aggregate(vec![bucket], vec![count(lit(1_i64)).alias("count")]))
            .map_err(Error::internal)?;
        let found = self.gather(found, about).await?;
        let mut counts = vec![0_u64; scale.buckets as usize];
        let places = found.column(0).as_primitive::<Int64Type>();
        for (place, count) in places.iter().zip(found.column(1).as_primitive::<Int64Type>().iter()) {
            // The greatest value stands on the upper edge of the last bar, and belongs to it.
            let last = i64::from(scale.buckets) - 1;
            let place = usize::try_from(place.unwrap_or(0).clamp(0, last)).unwrap_or(0);
            counts[place] += count.unwrap_or(0).cast_unsigned();
        }
        let buckets = counts
            .into_iter()
            .zip(0_u32..)
            .map(|(count, index)| Ok(Bucket { from: scale.edge(index)?, to: scale.edge(index + 1)?, count }));
        buckets.collect()
    }

    /// A small result, whole.
    async fn gather(&self, frame: DataFrame, about: About) -> Result<RecordBatch, Error> {
        let stream = self.parts.engine.stream(frame, None, about).await?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        arrow::compute::concat_batches(&schema, &batches).map_err(Error::internal)
    }
}

/// What the manifest knows without reading a row.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn bare(manifest: &Manifest, column: &Column) -> ColumnProfile {
    let rows = manifest.row_count;
    ColumnProfile {
        name: column.name.clone(),
        type_name: type_name(&column.data_type),
        row_count: rows,
        null_count: column.null_count,
        null_share: if rows == 0 { 0.0 } else { column.null_count as f64 / rows as f64 },
        distinct_estimate: 0,
        min: None,
        max: None,
        histogram: Vec::new(),
        frequent: Vec::new(),
    }
}

fn text(values: &ArrayRef, row: usize) -> Result<Option<String>, Error> {
    if values.is_null(row) {
        return Ok(None);
    }
    array_value_to_string(values, row).map(Some).map_err(Error::internal)
}

/// The axis of a histogram.
struct Scale {
    from: f64,
    width: f64,
    buckets: u32,
    /// What edges are shown as.
    shown: DataType,
}

impl Scale {
    /// `None` for types without a measure and for columns without two finite different values.
    fn of(low: &ArrayRef, high: &ArrayRef) -> Result<Option<Self>, Error> {
        let shown = low.data_type().clone();
        if !(shown.is_numeric() || shown.is_temporal()) {
            return Ok(None);
        }
        let (Some(from), Some(to)) = (number(low)?, number(high)?) else { return Ok(None) };
        let span = to - from;
        if !span.is_finite() || span <= 0.0 {
            return Ok(None);
        }
        // Whole numbers and days that are fewer than the bars get a bar each.
        let whole = shown.is_integer() || shown == DataType::Date32;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 20")]
        let buckets = if whole && span < f64::from(BUCKETS) { span as u32 + 1 } else { BUCKETS };
        let width = if whole && buckets < BUCKETS { 1.0 } else { span / f64::from(buckets) };
        Ok(Some(Self { from, width, buckets, shown }))
    }

    /// A value as a place on the axis.
    fn measured(&self, value: Expr) -> Expr {
        cast_expr(
            steps(&self.shown).map_or(value.clone(), |steps| cast_expr(value, steps)),
            DataType::Float64,
        )
    }

    fn edge(&self, index: u32) -> Result<String, Error> {
        let place = self.from + self.width * f64::from(index);
        let Some(steps) = steps(&self.shown) else { return Ok(place.to_string()) };
        let place: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![place]));
        let shown =
            cast(&place, &steps).and_then(|steps| cast(&steps, &self.shown)).map_err(Error::internal)?;
        Ok(text(&shown, 0)?.unwrap_or_default())
    }
}

/// The integer type in which a date or a time counts its steps.
fn steps(shown: &DataType) -> Option<DataType> {
    match shown {
        DataType::Date32 | DataType::Time32(_) => Some(DataType::Int32),
        other if other.is_temporal() => Some(DataType::Int64),
        _ => None,
    }
}

fn number(value: &ArrayRef) -> Result<Option<f64>, Error> {
    let value = match steps(value.data_type()) {
        Some(steps) => cast(value, &steps).map_err(Error::internal)?,
        None => Arc::clone(value),
    };
    let value = cast(&value, &DataType::Float64).map_err(Error::internal)?;
    Ok(value.as_primitive::<Float64Type>().iter().next().flatten().filter(|number| number.is_finite()))
}

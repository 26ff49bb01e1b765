//! What a manifest says about values, in the planner's terms.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};

use crate::catalog::manifest::{ColumnStats, DataFile};

/// The statistics of one file, for the columns of `schema` in their order.
pub(super) fn of_file(schema: &Schema, file: &DataFile) -> Statistics {
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        file.stats
            .get(index)
            .map_or_else(ColumnStatistics::new_unknown, |stats| of_column(field.data_type(), stats))
    });
    Statistics {
        num_rows: exact_count(file.row_count),
        total_byte_size: Precision::Absent,
        column_statistics: columns.collect(),
    }
}

fn exact_count(count: u64) -> Precision<usize> {
    usize::try_from(count).map_or(Precision::Absent, Precision::Exact)
}

fn of_column(data_type: &DataType, stats: &ColumnStats) -> ColumnStatistics {
    // Parquet's bounds leave NaN out, but NaN is above every number in an ORDER BY or a comparison: for
    // floats they help to estimate, and must never prove that a row is not there.
    let known =
        |value| if data_type.is_floating() { Precision::Inexact(value) } else { Precision::Exact(value) };
    let bound = |text: &Option<String>| {
        text.as_deref().and_then(|text| value(data_type, text)).map_or(Precision::Absent, known)
    };
    ColumnStatistics::new_unknown()
        .with_null_count(exact_count(stats.null_count))
        .with_min_value(bound(&stats.min))
        .with_max_value(bound(&stats.max))
}

/// Reads a bound; None for a type that has none, or a text that does not fit it.
fn value(data_type: &DataType, text: &str) -> Option<ScalarValue> {
    use DataType as T;
    use ScalarValue as S;
    Some(match data_type {
        T::Boolean => S::Boolean(Some(text.parse().ok()?)),
        T::Int8 => S::Int8(Some(text.parse().ok()?)),
        T::Int16 => S::Int16(Some(text.parse().ok()?)),
        T::Int32 => S::Int32(Some(text.parse().ok()?)),
        T::Int64 => S::Int64(Some(text.parse().ok()?)),
        T::UInt8 => S::UInt8(Some(text.parse().ok()?)),
        T::UInt16 => S::UInt16(Some(text.parse().ok()?)),
        T::UInt32 => S::UInt32(Some(text.parse().ok()?)),
        T::UInt64 => S::UInt64(Some(text.parse().ok()?)),
        T::Float32 => S::Float32(Some(text.parse().ok()?)),
        T::Float64 => S::Float64(Some(text.parse().ok()?)),
        T::Utf8 => S::Utf8(Some(text.to_owned())),
        T::LargeUtf8 => S::LargeUtf8(Some(text.to_owned())),
        T::Utf8View => S::Utf8View(Some(text.to_owned())),
        T::Date32 => S::Date32(Some(text.parse().ok()?)),
        T::Date64 => S::Date64(Some(text.parse().ok()?)),
        T::Timestamp(unit, zone) => {
            let (ticks, zone) = (Some(text.parse().ok()?), zone.clone());
            match unit {
                TimeUnit::Second => S::TimestampSecond(ticks, zone),
                TimeUnit::Millisecond => S::TimestampMillisecond(ticks, zone),
                TimeUnit::Microsecond => S::TimestampMicrosecond(ticks, zone),
                TimeUnit::Nanosecond => S::TimestampNanosecond(ticks, zone),
            }
        }
        T::Decimal128(precision, scale) => S::Decimal128(Some(text.parse().ok()?), *precision, *scale),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_in_the_columns_type() {
        check(T::Int64, "-9007199254740993", Some(ScalarValue::Int64(Some(-9_007_199_254_740_993))));
        check(T::Date32, "19723", Some(ScalarValue::Date32(Some(19723))));
        check(
            T::Timestamp(TimeUnit::Microsecond, None),
            "1700000000000001",
            Some(ScalarValue::TimestampMicrosecond(Some(1_700_000_000_000_001), None)),
        );
        check(T::Decimal128(18, 2), "12345", Some(ScalarValue::Decimal128(Some(12345), 18, 2)));
        check(T::Utf8View, "売上", Some(ScalarValue::Utf8View(Some("売上".to_owned()))));
        check(T::Boolean, "true", Some(ScalarValue::Boolean(Some(true))));
        check(T::Int64, "12.5", None);
        check(T::Int8, "300", None);
        check(T::Binary, "00", None);

        use DataType as T;
        #[track_caller]
        fn check(data_type: DataType, text: &str, expected: Option<ScalarValue>) {
            assert_eq!(value(&data_type, text), expected);
        }
    }

    #[test]
    fn bounds_of_floats_prove_nothing() {
        let stats = ColumnStats { null_count: 0, min: Some("1.5".to_owned()), max: Some("2.5".to_owned()) };
        assert_eq!(of_column(&DataType::Float64, &stats).max_value.is_exact(), Some(false));
        let stats = ColumnStats { null_count: 0, min: Some("1".to_owned()), max: Some("2".to_owned()) };
        assert_eq!(of_column(&DataType::Int64, &stats).max_value.is_exact(), Some(true));
    }
}

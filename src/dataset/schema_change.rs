//! What differs between two schemas, in the words of the contract.

use arrow::datatypes::DataType;
use serde::Serialize;

use crate::catalog::manifest::{Column, type_name};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SchemaChange {
    ColumnAdded { column: String, new_type: String },
    ColumnRemoved { column: String, old_type: String },
    TypeChanged { column: String, old_type: String, new_type: String },
}

/// What changes from `old` to `new`: removed and changed columns in the old order, then added ones.
#[must_use]
pub fn between(old: &[Column], new: &[Column]) -> Vec<SchemaChange> {
    let find =
        |columns: &[Column], name: &str| columns.iter().find(|c| c.name == name).map(|c| c.data_type.clone());
    let gone_or_changed = old.iter().filter_map(|was| match find(new, &was.name) {
        None => Some(SchemaChange::ColumnRemoved {
            column: was.name.clone(),
            old_type: type_name(&was.data_type),
        }),
        Some(is) => changed(&was.name, &was.data_type, &is),
    });
    let added = new
        .iter()
        .filter(|is| find(old, &is.name).is_none())
        .map(|is| SchemaChange::ColumnAdded { column: is.name.clone(), new_type: type_name(&is.data_type) });
    gone_or_changed.chain(added).collect()
}

fn changed(column: &str, old: &DataType, new: &DataType) -> Option<SchemaChange> {
    (old != new).then(|| SchemaChange::TypeChanged {
        column: column.to_owned(),
        old_type: type_name(old),
        new_type: type_name(new),
    })
}

/// Whether every value that was found to be of type `found` can be read as `kept` without a loss, so
/// that a file which happens to hold no fraction this time is not taken for a change.
#[must_use]
pub fn reads_as(found: &DataType, kept: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Float64, Int64, Timestamp, UInt64, Utf8};
    found == kept
        || matches!(
            (found, kept),
            (Boolean | Int64 | UInt64 | Float64 | Date32 | Timestamp(_, _) | Decimal128(_, _), Utf8)
                | (Int64, Float64 | Decimal128(_, _) | UInt64)
                | (UInt64 | Float64, Decimal128(_, _))
                | (Date32, Timestamp(_, None))
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    fn column(name: &str, data_type: DataType) -> Column {
        Column { name: name.to_owned(), data_type, null_count: 0 }
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let old = [column("a", DataType::Int64), column("b", DataType::Utf8), column("c", DataType::Date32)];
        let new =
            [column("c", DataType::Date32), column("a", DataType::Float64), column("d", DataType::Boolean)];
        let changes = serde_json::to_value(between(&old, &new)).unwrap();
        insta::assert_json_snapshot!(changes, @r#"
        [
          {
            "column": "a",
            "new_type": "float64",
            "old_type": "int64",
            "type": "type_changed"
          },
          {
            "column": "b",
            "old_type": "string",
            "type": "column_removed"
          },
          {
            "column": "d",
            "new_type": "bool",
            "type": "column_added"
          }
        ]
        "#);
        assert!(between(&old, &old).is_empty());
    }

    #[test]
    fn narrower_values_are_no_change() {
        let datetime = DataType::Timestamp(TimeUnit::Microsecond, None);
        check(DataType::Int64, DataType::Float64, true);
        check(DataType::Int64, DataType::Utf8, true);
        check(DataType::Date32, datetime.clone(), true);
        check(DataType::Float64, DataType::Int64, false);
        check(DataType::Utf8, DataType::Int64, false);
        check(datetime, DataType::Date32, false);

        #[track_caller]
        fn check(found: DataType, kept: DataType, expected: bool) {
            assert_eq!(reads_as(&found, &kept), expected, "{found} as {kept}");
        }
    }
}

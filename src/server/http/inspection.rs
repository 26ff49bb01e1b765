//! What was found in a file, as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::manifest::type_name;
use crate::dataset::decode::Inspection;

/// A file before its import.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InspectionView {
    /// Format, compression, encoding, delimiter, header and the rest of what an import would go by.
    #[schema(value_type = Object)]
    contract: serde_json::Value,
    schema: Vec<FoundColumn>,
    /// The first rows as text; null is NULL.
    sample_rows: Vec<Vec<Option<String>>>,
    /// What would be changed to make the file a table, such as doubled column names.
    warnings: Vec<String>,
}

/// A column with the type its first values suggest.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundColumn {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
}

impl From<Inspection> for InspectionView {
    fn from(found: Inspection) -> Self {
        let columns = found
            .schema
            .fields()
            .iter()
            .map(|field| FoundColumn { name: field.name().clone(), type_name: type_name(field.data_type()) });
        Self {
            schema: columns.collect(),
            // A contract is plain data with text keys; it always has a JSON form.
            contract: serde_json::to_value(&found.contract).unwrap_or_default(),
            sample_rows: found.sample_rows,
            warnings: found.warnings,
        }
    }
}

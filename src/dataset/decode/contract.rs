//! What was found out about a file: enough to read it again in the same way.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{column_type::ColumnType, encoding::TextEncoding};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Csv,
    Ndjson,
    Xlsx,
    Parquet,
    /// Arrow IPC with a footer.
    ArrowFile,
    ArrowStream,
}

impl Format {
    /// As messages call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Ndjson => "NDJSON",
            Self::Xlsx => "XLSX",
            Self::Parquet => "Parquet",
            Self::ArrowFile => "Arrow IPC",
            Self::ArrowStream => "Arrow IPC stream",
        }
    }

    /// Typed formats carry their schema; for the others types are found.
    pub fn is_typed(self) -> bool {
        matches!(self, Self::Parquet | Self::ArrowFile | Self::ArrowStream)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What ends a record outside quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terminator {
    Lf,
    Crlf,
    Cr,
}

impl Terminator {
    /// The byte that is searched for; the CR of a CRLF is taken off the last field.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Lf | Self::Crlf => b'\n',
            Self::Cr => b'\r',
        }
    }
}

/// Why a column has its type, which decides what a value that does not fit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Found in this file: a misfit means that the type was wrong.
    Found,
    /// Kept from a former import: a misfit means that the row is wrong.
    Kept,
    /// Named by the user: a misfit means that the row is wrong, and `007` may be an integer.
    Given,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    pub basis: Basis,
}

/// Saved with a dataset, so that the next import reads its file as this one was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    pub format: Format,
    pub compression: Compression,
    pub encoding: TextEncoding,
    /// The encoding was found, not given: when it turns out wrong, look again where it failed.
    pub encoding_found: bool,
    pub bom: bool,
    pub delimiter: char,
    pub quote: Option<char>,
    pub terminator: Terminator,
    pub has_header: bool,
    /// Physical lines (rows of a sheet) left out before the header.
    pub skip_rows: u64,
    pub null_values: Vec<String>,
    pub era_dates: bool,
    pub exact_decimals: bool,
    pub sheet: Option<String>,
    /// NDJSON: a key that is no column makes the row wrong, instead of making a column.
    pub columns_fixed: bool,
    /// Empty for typed formats: their schema is in the file.
    pub columns: Vec<ContractColumn>,
}

impl Contract {
    /// The contract for a re-import: what was found is now expected.
    pub fn kept(mut self) -> Self {
        self.columns_fixed = true;
        self.encoding_found = false;
        for column in &mut self.columns {
            if column.basis == Basis::Found {
                column.basis = Basis::Kept;
            }
        }
        self
    }

    /// The Arrow schema of a text format; every column may be null.
    pub fn schema(&self) -> SchemaRef {
        let fields =
            self.columns.iter().map(|column| Field::new(&column.name, column.column_type.arrow(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

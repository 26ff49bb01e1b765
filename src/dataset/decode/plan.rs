//! A contract made ready for parsing: looked at once, shared by all threads.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::SchemaRef;

use super::{
    cells::NullSet,
    contract::{Contract, ContractColumn, Format},
    encoding::TextEncoding,
    grammar::Grammar,
    limits::DecodeLimits,
};

/// How chunks of one file become batches of `schema`. Cheap to share, expensive to make once per chunk.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) format: Format,
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<ContractColumn>,
    /// Where each name is in `columns`, for formats that name every value.
    pub(super) places: HashMap<String, usize>,
    pub(super) columns_fixed: bool,
    pub(super) nulls: NullSet,
    pub(super) era_dates: bool,
    pub(super) encoding: TextEncoding,
    /// As the contract has it, for messages.
    pub(super) encoding_name: TextEncoding,
    pub(super) encoding_found: bool,
    pub(super) grammar: Grammar,
    pub(super) limits: DecodeLimits,
}

impl Plan {
    pub fn new(contract: &Contract, limits: &DecodeLimits) -> Self {
        let places = contract.columns.iter().enumerate().map(|(place, column)| (column.name.clone(), place));
        Self {
            format: contract.format,
            schema: contract.schema(),
            places: places.collect(),
            columns: contract.columns.clone(),
            columns_fixed: contract.columns_fixed,
            nulls: NullSet::new(&contract.null_values),
            era_dates: contract.era_dates,
            encoding: decoded_from(contract.encoding),
            encoding_name: contract.encoding,
            encoding_found: contract.encoding_found,
            grammar: grammar(contract),
            limits: limits.clone(),
        }
    }

    /// The schema of every batch that a text format parses to. Typed formats have theirs in their batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// UTF-16 is turned into UTF-8 as it is read: its line ends cannot be found byte by byte.
fn decoded_from(encoding: TextEncoding) -> TextEncoding {
    if encoding.is_utf16() { TextEncoding::Utf8 } else { encoding }
}

/// Where records of the format end.
pub(super) fn grammar(contract: &Contract) -> Grammar {
    let ascii = |character: char| u8::try_from(character).unwrap_or(b',');
    match contract.format {
        Format::Csv => Grammar {
            delimiter: ascii(contract.delimiter),
            quote: contract.quote.map(ascii),
            terminator: contract.terminator.byte(),
            shift_jis: contract.encoding == TextEncoding::ShiftJis,
        },
        // A JSON string never holds a bare line end, so every line end ends a record.
        Format::Ndjson | Format::Xlsx | Format::Parquet | Format::ArrowFile | Format::ArrowStream => {
            Grammar { delimiter: b'\n', quote: None, terminator: b'\n', shift_jis: false }
        }
    }
}

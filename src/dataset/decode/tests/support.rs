//! Reads a file in all steps, as an import does.

use arrow::{
    record_batch::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;

use super::super::{
    BadRow, Contract, DecodeError, DecodeLimits, Inspection, Misfit, Plan, ReadOptions, Source, infer_all,
    inspect, inspect_again, open,
};

pub(super) fn source(name: &str, bytes: impl Into<Bytes>) -> Source {
    Source::Bytes { name: name.to_owned(), bytes: bytes.into() }
}

/// What came of a file.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) inspection: Inspection,
    pub(super) contract: Contract,
    pub(super) batches: Vec<RecordBatch>,
    pub(super) bad: Vec<BadRow>,
    pub(super) restarts: usize,
}

impl Read {
    /// `name:type` of each column.
    pub(super) fn types(&self) -> String {
        let columns = self.contract.columns.iter();
        columns.map(|column| format!("{}:{}", column.name, column.column_type)).collect::<Vec<_>>().join(" ")
    }

    /// Rows as the arrow crate shows them, null as `-`.
    pub(super) fn rows(&self) -> Vec<String> {
        let options = FormatOptions::default().with_null("-");
        let mut rows = Vec::new();
        for batch in &self.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|array| ArrayFormatter::try_new(array.as_ref(), &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                rows.push(
                    columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"),
                );
            }
        }
        rows
    }

    /// `line: reason` of each bad row.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.bad.iter().map(|row| format!("{}: {}", row.line, row.reason)).collect()
    }
}

pub(super) fn read(name: &str, bytes: impl Into<Bytes>) -> Result<Read, DecodeError> {
    read_with(&source(name, bytes), &ReadOptions::default(), &DecodeLimits::default())
}

#[track_caller]
pub(super) fn csv(text: &str) -> Read {
    read("t.csv", text.to_owned()).unwrap()
}

pub(super) fn read_with(
    source: &Source,
    options: &ReadOptions,
    limits: &DecodeLimits,
) -> Result<Read, DecodeError> {
    let mut inspection = inspect(source, options, limits)?;
    let mut contract = inspection.contract.clone();
    for restarts in 0.. {
        let (batches, bad, misfits) = parse(source, &contract, limits)?;
        match misfits.first() {
            None => return Ok(Read { inspection, contract, batches, bad, restarts }),
            Some(Misfit::Encoding { offset, .. }) => {
                inspection = inspect_again(source, options, limits, *offset)?;
                contract = inspection.contract.clone();
            }
            Some(_) => contract = infer_all(source, &contract, limits, 2)?,
        }
        assert!(restarts < 3, "still misfits: {misfits:?}");
    }
    unreachable!()
}

type AllParsed = (Vec<RecordBatch>, Vec<BadRow>, Vec<Misfit>);

pub(super) fn parse(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
) -> Result<AllParsed, DecodeError> {
    let plan = Plan::new(contract, limits);
    let mut reader = open(source, contract, limits)?;
    let (mut batches, mut bad, mut misfits) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(chunk) = reader.next_chunk()? {
        let parsed = chunk.parse(&plan)?;
        batches.push(parsed.batch);
        bad.extend(parsed.bad_rows);
        misfits.extend(parsed.misfits);
    }
    Ok((batches, bad, misfits))
}

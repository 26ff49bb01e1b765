//! Parses a whole file and keeps only the counts: a dry run, and what benches measure.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use super::{
    contract::Contract, error::DecodeError, limits::DecodeLimits, plan::Plan, reader, source::Source,
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub bad_rows: u64,
    /// Not zero: the contract does not hold for the file.
    pub misfits: u64,
}

/// Reads with one thread at a time and parses on `threads`; no batch outlives its count.
pub fn scan(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
    threads: usize,
) -> Result<Totals, DecodeError> {
    let plan = Plan::new(contract, limits);
    let reader = Mutex::new(reader::open(source, contract, limits)?);
    let count = || -> Result<Totals, DecodeError> {
        let mut totals = Totals::default();
        loop {
            let chunk = reader.lock().unwrap_or_else(PoisonError::into_inner).next_chunk()?;
            let Some(chunk) = chunk else { return Ok(totals) };
            let parsed = chunk.parse(&plan)?;
            totals.rows += parsed.batch.num_rows() as u64;
            totals.bad_rows += parsed.bad_rows.len() as u64;
            totals.misfits += parsed.misfits.len() as u64;
        }
    };
    let counts = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(count)).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|count| count.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    let mut totals = Totals::default();
    for count in counts {
        let count = count?;
        totals.rows += count.rows;
        totals.bad_rows += count.bad_rows;
        totals.misfits += count.misfits;
    }
    Ok(totals)
}

//! One pass over a source: chunks read in order, parsed side by side, given on in order.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::decode::{self, BadRow, Chunk, ChunkReader, Contract, DecodeLimits, Misfit, Parsed, Plan};
use super::failure;
use super::progress::Progress;
use super::write::Batches;
use crate::error::Error;
use crate::tasks;

/// What a pass found beside its rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    bad_rows: Mutex<Vec<BadRow>>,
    misfit: Mutex<Option<Misfit>>,
}

impl Tally {
    /// Rows that were left out, in the order of the source.
    pub(super) fn take_bad_rows(&self) -> Vec<BadRow> {
        std::mem::take(&mut self.bad_rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the pass was of no use, when what was found about the source turned out wrong.
    pub(super) fn take_misfit(&self) -> Option<Misfit> {
        self.misfit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A pass that has begun.
pub(super) struct Pass {
    pub(super) schema: SchemaRef,
    pub(super) batches: Batches,
    pub(super) tally: Arc<Tally>,
}

/// How a source is read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) source: decode::Source,
    pub(super) contract: Contract,
    /// What the batches have.
    pub(super) schema: SchemaRef,
    pub(super) limits: DecodeLimits,
    pub(super) threads: usize,
    pub(super) bad_rows_max: u64,
}

/// Starts a pass. Its batches end with an error when more rows are wrong than `bad_rows_max`, and when a
/// value does not fit what was found; then the tally holds the misfit and the error means nothing.
pub(super) async fn start(reading: &Reading, progress: &Arc<Progress>) -> Result<Pass, Error> {
    let Reading { source, contract, schema, limits, threads, bad_rows_max } = reading.clone();
    let plan = Arc::new(Plan::new(&contract, &limits));
    let reader = tasks::blocking(move || {
        decode::open(&source, &contract, &limits).map_err(|error| failure::of_file(&error))
    });
    let reader = reader.await?;
    progress.watch(reader.progress());

    let tally = Arc::new(Tally::default());
    let (tallying, counting) = (Arc::clone(&tally), Arc::clone(progress));
    let format = reading.contract.format;
    let batches = chunks(reader)
        .map_ok(move |chunk| parse(chunk, Arc::clone(&plan)))
        // One more than the threads, so that a thread that ends finds work waiting.
        .try_buffered(threads + 1)
        .map(move |parsed| {
            let Parsed { batch, bad_rows, misfits } = parsed?;
            if let Some(misfit) = misfits.into_iter().next() {
                *tallying.misfit.lock().unwrap_or_else(PoisonError::into_inner) = Some(misfit);
                return Err(Error::Cancelled);
            }
            counting.add(batch.num_rows(), bad_rows.len());
            let mut all = tallying.bad_rows.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(bad_rows);
            if all.len() as u64 > bad_rows_max {
                return Err(failure::of_rows(&all, bad_rows_max, format));
            }
            Ok(batch)
        })
        .boxed();
    Ok(Pass { schema, batches, tally })
}

/// Reads to the end and counts, without keeping a row.
pub(super) async fn count(pass: Pass) -> Result<(u64, Arc<Tally>), Error> {
    let add = |rows: u64, batch: RecordBatch| async move { Ok(rows + batch.num_rows() as u64) };
    let tally = pass.tally;
    let counted = pass.batches.try_fold(0, add).await;
    Ok((counted?, tally))
}

fn chunks(reader: ChunkReader) -> impl stream::Stream<Item = Result<Chunk, Error>> + Send {
    stream::try_unfold(reader, |mut reader| {
        tasks::blocking(move || {
            let chunk = reader.next_chunk().map_err(|error| failure::of_file(&error))?;
            Ok(chunk.map(|chunk| (chunk, reader)))
        })
    })
}

async fn parse(chunk: Chunk, plan: Arc<Plan>) -> Result<Parsed, Error> {
    tasks::blocking(move || chunk.parse(&plan).map_err(|error| failure::of_file(&error))).await
}

//! Transforms, and what came of running them.

use std::collections::HashMap;

use super::accounts::other;
use super::{Copied, Side};
use crate::catalog::store::{Begun, Owner, every};
use crate::catalog::transform::{ExecutionRecord, TransformRecord};
use crate::error::{Error, Result};
use crate::ids::{ExecutionId, TransformId};

/// Copies all transforms, each with its executions.
pub(super) async fn transforms(from: &Side, to: &Side, copied: &mut Copied) -> Result<()> {
    let source = &from.stores.transforms;
    let records = every(|page| async move { Ok(source.list(&Owner::Anyone, page).await?.0) }).await?;
    // Oldest first, so that they are listed at the target as at the source.
    for record in records.into_iter().rev() {
        let id = record.id.clone();
        transform(to, record, copied).await?;
        executions(from, to, &id, copied).await?;
    }
    Ok(())
}

async fn transform(to: &Side, record: TransformRecord, copied: &mut Copied) -> Result<()> {
    let there = to.stores.transforms.lookup(std::slice::from_ref(&record.id)).await?.pop();
    let revision = there.as_ref().map_or(0, |there| there.revision);
    let record = TransformRecord { revision, ..record };
    if there.as_ref() != Some(&record) {
        to.stores.transforms.put(record).await?;
        copied.transforms += 1;
    }
    Ok(())
}

/// Copies the executions that have ended. What runs, runs at the source: it goes along the next time, and a target that
/// was restored makes up for it like for all that was due meanwhile.
async fn executions(from: &Side, to: &Side, transform: &TransformId, copied: &mut Copied) -> Result<()> {
    let there = all(to, transform).await?;
    let mut there: HashMap<ExecutionId, ExecutionRecord> =
        there.into_iter().map(|record| (record.id.clone(), record)).collect();
    // Oldest first, so that the one that still runs at the target ends before the next one comes.
    for record in all(from, transform).await?.into_iter().rev().filter(|record| !record.is_running()) {
        let there = there.remove(&record.id);
        let revision = there.as_ref().map_or(0, |there| there.revision);
        let record = ExecutionRecord { revision, ..record };
        if there.as_ref() == Some(&record) {
            continue;
        }
        let what = format!("execution of the transform `{transform}`, started at {}", record.started_at);
        if there.is_some() {
            to.stores.executions.put(record).await?;
        } else if to.stores.executions.begin(record).await? != Begun::Yes {
            return Err(other(Error::Duplicate(String::new()), &what));
        }
        copied.executions += 1;
    }
    Ok(())
}

/// The executions of a transform, newest first.
async fn all(of: &Side, transform: &TransformId) -> Result<Vec<ExecutionRecord>> {
    let executions = &of.stores.executions;
    Ok(every(|page| async move { Ok(executions.list(transform, page).await?.0) }).await?)
}

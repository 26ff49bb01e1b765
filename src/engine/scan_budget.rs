//! How much of its tables a query may read. It is known before a row is read: from the files and row groups that filters
//! leave, and from the columns that are wanted of them.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;

use super::Engine;
use super::explain::{self, Scan};
use super::reader::CheckedReaders;
use super::spec::{QuerySpec, SpecTable};
use crate::auth::Principal;
use crate::error::{Error, Result};

/// What the scans of one query may read.
#[derive(Debug)]
pub(super) struct ScanBudget {
    bytes_max: u64,
    tables: Vec<SpecTable>,
}

impl ScanBudget {
    /// None when there is no limit.
    pub(super) fn of(spec: &QuerySpec) -> Option<Self> {
        let bytes_max = spec.limits.scan_bytes?;
        Some(Self { bytes_max, tables: spec.tables.clone() })
    }

    /// Refuses a plan that would read too much, and says how it could read less.
    pub(super) async fn check(&self, plan: &Arc<dyn ExecutionPlan>, runtime: &RuntimeEnv) -> Result<()> {
        let scans = explain::scans(&self.tables, plan, &CheckedReaders::of(runtime)?).await?;
        let bytes: u64 = scans.iter().map(|scan| scan.bytes.read).sum();
        match scans.iter().max_by_key(|scan| scan.bytes.read) {
            Some(largest) if bytes > self.bytes_max => Err(self.refusal(bytes, largest)),
            _ => Ok(()),
        }
    }

    fn refusal(&self, bytes: u64, largest: &Scan) -> Error {
        let Scan { table, files, row_groups, split_by, .. } = largest;
        let less = match split_by {
            Some(column) if files.total > 1 => {
                format!("add a filter on `{column}`, by which its files are split")
            }
            _ => "add a filter".to_owned(),
        };
        Error::OverLimit(format!(
            "the query would read {}, and you may read {} at a time. Most is in `{table}`: {} of {} files, {} of {} row \
             groups. To read less, {less}, or name fewer columns",
            megabytes(bytes),
            megabytes(self.bytes_max),
            files.read,
            files.total,
            row_groups.read,
            row_groups.total,
        ))
    }
}

impl Engine {
    /// Bytes that a query of `principal` may read: their own limit, or the one for all. Administrators have none, unless
    /// it is their own: somebody has to be able to look at everything.
    pub(super) fn scan_bytes_max(&self, principal: &Principal) -> Option<u64> {
        let for_all = self.0.config.scan_bytes_max.filter(|_| !principal.sees_all());
        principal.scan_bytes_max.or(for_all)
    }
}

fn megabytes(bytes: u64) -> String {
    // Rounded up, so that what is more than nothing never reads as nothing.
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

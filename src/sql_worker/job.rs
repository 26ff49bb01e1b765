//! A query on its way into a worker. A worker remembers manifests, which never change and are most of a spec's bytes,
//! so that each is sent to it once.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::manifest::Manifest;
use crate::engine::{QuerySpec, SpecTable, TableRows};
use crate::error::{Error, Result};
use crate::storage::keys;

/// Files of all manifests that a worker remembers.
const FILES_KNOWN_MAX: usize = 20_000;

/// A spec whose manifests may have been sent before.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Without its tables.
    spec: QuerySpec,
    tables: Vec<JobTable>,
    /// Forget all manifests first.
    forget: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum JobTable {
    /// To be remembered.
    New(SpecTable),
    Known {
        name: String,
        manifest: String,
    },
}

/// What one worker remembers, as the service knows it.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, usize>);

/// What a worker remembers.
#[derive(Debug, Default)]
pub(super) struct Remembered(HashMap<String, Arc<Manifest>>);

/// Under which name a manifest is remembered: labels are unique.
fn key(manifest: &Manifest) -> String {
    keys::manifest(&manifest.dataset_id, &manifest.label).into()
}

impl Known {
    /// `spec` for the worker that this is about.
    pub(super) fn job(&mut self, mut spec: QuerySpec) -> Job {
        let forget = self.0.values().sum::<usize>() > FILES_KNOWN_MAX;
        if forget {
            self.0.clear();
        }
        let tables = std::mem::take(&mut spec.tables);
        let tables = tables.into_iter().map(|table| self.table(table)).collect();
        Job { spec, tables, forget }
    }

    fn table(&mut self, table: SpecTable) -> JobTable {
        let TableRows::Version(manifest) = &table.rows else { return JobTable::New(table) };
        let (key, files) = (key(manifest), manifest.files.len());
        if self.0.contains_key(&key) {
            return JobTable::Known { name: table.name, manifest: key };
        }
        self.0.insert(key, files);
        JobTable::New(table)
    }
}

impl Remembered {
    /// The spec that `job` was made of, asked for one row more than it may hand out.
    ///
    /// # Errors
    /// `Internal` when a manifest was never sent.
    pub(super) fn spec(&mut self, job: Job) -> Result<QuerySpec> {
        if job.forget {
            self.0.clear();
        }
        let tables = job.tables.into_iter().map(|table| self.table(table)).collect::<Result<_>>()?;
        let mut spec = QuerySpec { tables, ..job.spec };
        spec.limits.rows = spec.limits.rows.map(|rows| rows.saturating_add(1));
        // Whoever hands the rows out counts their bytes.
        spec.limits.result_bytes = None;
        Ok(spec)
    }

    fn table(&mut self, table: JobTable) -> Result<SpecTable> {
        match table {
            JobTable::New(table) => {
                if let TableRows::Version(manifest) = &table.rows {
                    self.0.insert(key(manifest), Arc::clone(manifest));
                }
                Ok(table)
            }
            JobTable::Known { name, manifest } => {
                let Some(manifest) = self.0.get(&manifest) else {
                    return Err(Error::internal(format!("the manifest `{manifest}` was never sent")));
                };
                Ok(SpecTable { name, rows: TableRows::Version(Arc::clone(manifest)) })
            }
        }
    }
}

//! What one query may use of memory and disk: shares of what all queries have together.

use std::sync::Arc;

use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::runtime_env::RuntimeEnv;

use super::EngineConfig;
use super::memory::{self, Peak, Whole};
use super::spill::SpillSpace;
use super::wanted::Wanted;
use crate::error::Result;

/// Memory of a sort of an import. An import needs as much again to encode what comes out of it, and more makes it no
/// faster: rows that do not fit are written and read once, and where all of them fit, merging as many small batches as
/// there are takes as long as the disk did (measured: 8.5 s with this, 9.4 s with enough for everything).
const IMPORT_MEMORY_BYTES_MAX: usize = 256 << 20;

/// Memory and disk of all queries.
#[derive(Debug)]
pub(super) struct Pools {
    base: Arc<RuntimeEnv>,
    memory: Arc<Whole>,
    spill: Arc<SpillSpace>,
    memory_per_query: usize,
    spill_per_query: u64,
}

/// An environment for one query.
#[derive(Debug, Clone)]
pub(super) struct Resources {
    runtime: Arc<RuntimeEnv>,
    wanted: Wanted,
}

impl Resources {
    pub(super) fn runtime(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.runtime)
    }

    /// What says no to the query's operators when nobody wants its rows any more.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

impl Pools {
    /// Shares of what `config` allows, and of `base` what is no matter of amounts.
    pub(super) fn new(config: &EngineConfig, base: Arc<RuntimeEnv>) -> Result<Self> {
        let spill = match &config.spill_file {
            Some(file) => SpillSpace::in_file(file.clone(), config.spill_bytes_max),
            None => SpillSpace::new(config.spill_dir.clone(), config.spill_bytes_max),
        };
        Ok(Self {
            base,
            memory: Whole::new(config.memory_bytes_max),
            spill: spill?,
            memory_per_query: config.memory_per_query_bytes_max,
            spill_per_query: config.spill_per_query_bytes_max,
        })
    }

    /// What is kept of the ends of files.
    pub(super) fn footers(&self) -> Arc<FileMetadataCache> {
        self.base.cache_manager.get_file_metadata_cache()
    }

    /// What one query gets.
    pub(super) fn share(&self, peak: Peak) -> Result<Resources> {
        self.of(self.memory_per_query, self.spill_per_query, peak)
    }

    /// What a sort of an import gets: some memory, and all the disk there is.
    pub(super) fn for_import(&self) -> Result<Resources> {
        self.of(self.memory_per_query.min(IMPORT_MEMORY_BYTES_MAX), u64::MAX, Peak::default())
    }

    fn of(&self, memory: usize, spill: u64, peak: Peak) -> Result<Resources> {
        let wanted = Wanted::default();
        let runtime = RuntimeEnv {
            memory_pool: memory::share(&self.memory, memory, peak, wanted.clone()),
            disk_manager: self.spill.share(spill, wanted.clone())?,
            ..self.base.as_ref().clone()
        };
        Ok(Resources { runtime: Arc::new(runtime), wanted })
    }

    pub(super) fn memory_used(&self) -> usize {
        self.memory.used()
    }

    pub(super) fn spill_used(&self) -> u64 {
        self.spill.used()
    }
}

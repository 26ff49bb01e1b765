//! The control: DataFusion of the same crates in this process, over the very files of the import.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::TryStreamExt as _;
use shirabe_benches::{Outcome, THREADS};

use super::ground::MEMORY_MB;

pub(super) struct Bare(SessionContext);

impl Bare {
    /// With as many partitions and as much memory as our server has. Text comes out of the scan without
    /// views, as there: Arrow IPC would write the whole buffer behind each view.
    pub(super) async fn over(files: &[(&'static str, Vec<PathBuf>)]) -> Outcome<Self> {
        let mut config = SessionConfig::new().with_target_partitions(THREADS);
        config.options_mut().optimizer.expand_views_at_output = true;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(MEMORY_MB << 20)))
            .build_arc()?;
        let context = SessionContext::new_with_config_rt(config, runtime);
        for (table, files) in files {
            let paths = files.iter().map(|file| format!("file://{}", file.display())).collect::<Vec<_>>();
            let table_of_files = context.read_parquet(paths, ParquetReadOptions::default()).await?;
            context.register_table(*table, table_of_files.into_view())?;
        }
        Ok(Self(context))
    }

    pub(super) async fn stream(&self, sql: &str) -> Outcome<SendableRecordBatchStream> {
        Ok(self.0.sql(sql).await?.execute_stream().await?)
    }

    /// From the text to the last row.
    pub(super) async fn query(&self, sql: &str) -> Outcome<(Duration, Vec<RecordBatch>)> {
        let started = Instant::now();
        let batches = self.stream(sql).await?.try_collect().await?;
        Ok((started.elapsed(), batches))
    }
}

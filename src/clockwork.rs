//! Transforms and what starts them by the clock, put together. `app.rs` asks.

use std::sync::Arc;
use std::time::Duration;

use crate::audit_log::AuditLog;
use crate::catalog::store::Stores;
use crate::clock::Clock;
use crate::config::Config;
use crate::dataset::Datasets;
use crate::engine::Engine;
use crate::executor::Executor;
use crate::transform::schedule::{Scheduler, SchedulerParts};
use crate::transform::{self, Transforms};

/// Executions of a transform that are remembered.
const EXECUTIONS_KEPT: u64 = 1_000;

/// Transforms, and what starts them by the clock.
pub fn transforms(
    config: &Config,
    stores: &Stores,
    (datasets, engine, executor, audit): (Datasets, Engine, Executor, AuditLog),
    clock: Arc<dyn Clock>,
) -> (Transforms, Arc<Scheduler<Transforms>>) {
    let settings = transform_settings(config);
    let transforms = Transforms::new(stores.clone(), datasets, engine, executor, audit, clock, settings);
    let scheduler = Scheduler::new(SchedulerParts {
        transforms: Arc::clone(&stores.transforms),
        datasets: Arc::clone(&stores.datasets),
        leases: transforms.leases().clone(),
        runner: Arc::new(transforms.clone()),
        enabled: config.scheduler.enabled,
    });
    (transforms, Arc::new(scheduler))
}

fn transform_settings(config: &Config) -> transform::Settings {
    transform::Settings {
        timeout: Duration::from_secs(config.executor.transform_timeout_s),
        memory_bytes_max: shirabe_wire::Limits::transform().memory_bytes_max,
        executions_kept: EXECUTIONS_KEPT,
        interval: Duration::from_secs(config.scheduler.interval_s),
    }
}

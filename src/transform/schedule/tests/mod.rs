//! The scheduler in simulated time: scenes with a known end, and a simulation in which everything that can go wrong does.
//!
//! Time passes when nothing else can happen ([`time::Time`]), so an hour takes no longer than what happens in it. Each
//! process has a clock of its own that may be wrong, and may be stopped; between it and the store stands
//! [`faulty::Faulty`], which loses requests and answers, or delivers them late. Everything runs on one thread and draws
//! from one source of chance, so a seed tells the whole story.

mod faulty;
mod held;
mod process;
mod runner;
mod scheduler;
mod simulation;
mod sweep;
mod time;

use std::sync::Arc;

use serde_json::json;

use super::Timing;
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, Source, VersionKind, VersionRecord};
use crate::catalog::store::memory::MemoryStore;
use crate::catalog::store::{Change, Commit, DatasetStore, ExecutionStore, TransformStore};
use crate::catalog::transform::{
    Language, Missed, Schedule, TransformInput, TransformRecord, TransformSettings,
};
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, TransformId, UserId};

use faulty::{Chaos, MemoryDatasets};
use process::Process;
use runner::Fake;
use time::Time;

use std::time::Duration;

/// What the clocks show when the timer shows nothing: 2026-10-24 22:00 UTC, midnight in Berlin, and a day later its
/// clocks go back.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_792_879_200);

const TIMING: Timing = Timing {
    interval: Duration::from_secs(20),
    sweep: Duration::from_secs(15),
    lease: Duration::from_secs(60),
    renewal: Duration::from_secs(20),
    grace: Duration::from_secs(120),
};

/// The stores behind all processes.
#[derive(Debug, Clone)]
struct Stores {
    transforms: Arc<dyn TransformStore>,
    executions: Arc<dyn ExecutionStore>,
    datasets: Arc<dyn DatasetStore>,
}

impl Stores {
    fn in_memory() -> Self {
        let store = Arc::new(MemoryStore::default());
        let datasets = Arc::new(MemoryDatasets::new(Arc::clone(&store) as _));
        Self { transforms: Arc::clone(&store) as _, executions: store as _, datasets: datasets as _ }
    }
}

/// Runs a test on one thread, without the drivers of real time.
fn on_one_thread(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
}

/// An id that is the same in each run of a test, because stores order by it.
fn digits(number: u64) -> String {
    format!("{number:012}")
}

pub(super) fn dataset_id(number: u64) -> DatasetId {
    DatasetId::parse(&format!("ds_{}", digits(number))).unwrap()
}

/// A transform that reads nothing that is there and has no schedule.
pub(super) fn transform(number: u64) -> TransformRecord {
    TransformRecord {
        id: TransformId::parse(&format!("tf_{}", digits(number))).unwrap(),
        name: format!("transform {number}"),
        description: String::new(),
        owner_id: UserId::parse(&format!("user_{}", digits(1))).unwrap(),
        language: Language::Sql,
        code: "select 1".to_owned(),
        inputs: Vec::new(),
        params: json!({}),
        schedule: Schedule::none(START),
        settings: TransformSettings::default(),
        output_dataset_id: dataset_id(1_000 + number),
        created_at: START,
        updated_at: START,
        revision: 0,
    }
}

/// One that runs by the clock.
fn scheduled(number: u64, cron: &str, missed: Missed) -> TransformRecord {
    let schedule = Schedule { cron: Some(cron.to_owned()), enabled: true, missed, ..Schedule::none(START) };
    TransformRecord { schedule, ..transform(number) }
}

/// One that runs when an input has changed.
pub(super) fn following(number: u64, inputs: &[DatasetId]) -> TransformRecord {
    let input =
        |id: &DatasetId| TransformInput { dataset_id: id.clone(), alias: None, columns: None, filter: None };
    let schedule = Schedule { enabled: true, on_input_change: true, ..Schedule::none(START) };
    TransformRecord { schedule, inputs: inputs.iter().map(input).collect(), ..transform(number) }
}

/// A first version of a dataset, which its first commit stores.
pub(super) fn dataset(id: &DatasetId, owner: &UserId, created_at: Timestamp) -> DatasetRecord {
    let name = format!("dataset {id}");
    let current = VersionRecord {
        dataset_id: id.clone(),
        number: 1,
        label: "000001-0123abcd".to_owned(),
        manifest_blake3: String::new(),
        kind: VersionKind::Transform,
        row_count: 1,
        byte_count: 1,
        column_count: 1,
        quarantined_count: 0,
        created_at,
        created_by: owner.clone(),
        commit_id: CommitId::random(),
    };
    DatasetRecord {
        id: id.clone(),
        name_key: NameKey::of(&name),
        name,
        description: String::new(),
        owner_id: owner.clone(),
        source: Source { kind: "transform".to_owned(), file_name: String::new(), path: None, made_by: None },
        partition_column: None,
        sort_column: None,
        read_contract: json!({}),
        current,
        created_at,
        last_import_at: created_at,
        revision: 0,
    }
}

/// The change that makes the next version of a dataset, or the first one.
fn next_version(stored: Option<DatasetRecord>, id: &DatasetId, owner: &UserId, at: Timestamp) -> Change {
    let Some(mut record) = stored else { return Change::Create(dataset(id, owner, at)) };
    record.current.number += 1;
    record.current.label = format!("{:06}-0123abcd", record.current.number);
    record.current.created_at = at;
    Change::Publish(record)
}

/// Makes the next version of a dataset that nobody runs a transform for.
async fn import(stores: &Stores, id: &DatasetId, at: Timestamp) {
    let stored = stores.datasets.lookup(std::slice::from_ref(id), &[]).await.unwrap().pop();
    let change = next_version(stored, id, &transform(0).owner_id, at);
    stores
        .datasets
        .commit(Commit { id: CommitId::random(), change, audit: None, execution: None })
        .await
        .unwrap();
}

/// One process on a sound store, and what it is asked to run.
struct Scene {
    time: Arc<Time>,
    stores: Stores,
    chaos: Arc<Chaos>,
    processes: Vec<Process>,
}

impl Scene {
    async fn new(processes: usize, transforms: &[TransformRecord]) -> Self {
        let stores = Stores::in_memory();
        for transform in transforms {
            stores.transforms.put(transform.clone()).await.unwrap();
        }
        let time = Arc::new(Time::default());
        let chaos = Arc::new(Chaos::none(Arc::clone(&time)));
        let make = |number| Process::new(number, Arc::clone(&time), stores.clone(), Arc::clone(&chaos));
        let processes = (0..processes).map(make).collect();
        Self { time, stores, chaos, processes }
    }

    fn runner(&self, process: usize) -> Arc<Fake> {
        self.processes[process].runner()
    }
}

//! What stands between a process and the store: requests and answers that are lost, or late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Stores;
use super::time::{Local, Time};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{
    Begun, Change, Commit, DatasetStore, ExecutionStore, Owner, Page, PageRequest, StoreError, TransformStore,
};
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus, TransformRecord};
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, ExecutionId, TransformId};
use crate::tasks;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    /// The request does not arrive.
    Lost,
    /// It does, but the answer does not.
    NoAnswer,
    /// It arrives after so long, when nobody expects it any more.
    Late(Duration),
}

/// Chance, and what was written by whom.
#[derive(Debug)]
pub(super) struct Chaos {
    pub(super) time: Arc<Time>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seed: u64,
    /// Of a thousand calls, so many do not end well.
    faults: u64,
    /// Of ten thousand calls, so many stop their process.
    stops: u64,
    outage_until: Duration,
    /// What becomes of the next writes, before chance decides.
    next: VecDeque<Fate>,
    /// For how long the process is stopped that is the next to have read something.
    stop_after_read: Option<Duration>,
    /// Who wrote which revision of an execution last.
    writers: BTreeMap<ExecutionId, (u64, usize)>,
    commits: BTreeMap<ExecutionId, u64>,
    /// Commits of those that had lost their execution.
    refused: u64,
    /// Those that failed by the hand of a process that starts nothing.
    given_up: BTreeSet<ExecutionId>,
    violations: Vec<String>,
    ticks: u64,
}

impl Chaos {
    /// Everything goes well.
    pub(super) fn none(time: Arc<Time>) -> Self {
        Self { time, state: Mutex::default() }
    }

    pub(super) fn of(time: Arc<Time>, seed: u64) -> Self {
        let state = State { seed, ..State::default() };
        Self { time, state: Mutex::new(state) }
    }

    pub(super) fn set_faults(&self, faults: u64, stops: u64) {
        let mut state = self.state();
        (state.faults, state.stops) = (faults, stops);
    }

    /// What becomes of the next writes.
    pub(super) fn next(&self, fates: &[Fate]) {
        self.state().next = fates.iter().copied().collect();
    }

    /// Stops the process that is the next to have read something.
    pub(super) fn stop_after_read(&self, time: Duration) {
        self.state().stop_after_read = Some(time);
    }

    /// The store answers nobody for so long.
    pub(super) fn outage(&self, time: Duration) {
        let until = self.time.now() + time;
        self.state().outage_until = until;
    }

    /// A number below `below`, by chance.
    pub(super) fn draw(&self, below: u64) -> u64 {
        let mut state = self.state();
        state.seed = state.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }

    pub(super) fn seconds(&self, from: u64, to: u64) -> Duration {
        Duration::from_secs(from + self.draw(to - from))
    }

    pub(super) fn ticks(&self) -> u64 {
        self.state().ticks
    }

    pub(super) fn commits(&self) -> BTreeMap<ExecutionId, u64> {
        self.state().commits.clone()
    }

    pub(super) fn refused(&self) -> u64 {
        self.state().refused
    }

    pub(super) fn given_up(&self) -> BTreeSet<ExecutionId> {
        self.state().given_up.clone()
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    fn fate(&self, is_write: bool) -> Fate {
        let now = self.time.now();
        {
            let mut state = self.state();
            if is_write && let Some(fate) = state.next.pop_front() {
                return fate;
            }
            if now < state.outage_until {
                return Fate::Lost;
            }
            if state.faults == 0 {
                return Fate::Fine;
            }
        }
        let faults = self.state().faults;
        match self.draw(1_000) {
            drawn if drawn >= faults => Fate::Fine,
            drawn if !is_write || drawn % 3 == 0 => Fate::Lost,
            drawn if drawn % 3 == 1 => Fate::NoAnswer,
            _ => Fate::Late(self.seconds(1, 100)),
        }
    }

    /// Notes that a write of an execution happened, which went on from its revision.
    fn wrote(&self, record: &ExecutionRecord, by: &Faulty, is_commit: bool) {
        let process = by.process;
        let mut state = self.state();
        if record.status == ExecutionStatus::Failed && !by.is_scheduler {
            state.given_up.insert(record.id.clone());
        }
        let before = state.writers.insert(record.id.clone(), (record.revision + 1, process));
        if is_commit {
            *state.commits.entry(record.id.clone()).or_default() += 1;
            // It holds the execution only if it was the last to write it.
            if before != Some((record.revision, process)) {
                let id = &record.id;
                let text = format!(
                    "{id}: process {process} committed over revision {}, last was {before:?}",
                    record.revision
                );
                state.violations.push(text);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stores as one process reaches them.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    stores: Stores,
    chaos: Arc<Chaos>,
    local: Arc<Local>,
    process: usize,
    is_scheduler: bool,
}

impl Faulty {
    pub(super) fn new(
        stores: Stores,
        chaos: Arc<Chaos>,
        local: Arc<Local>,
        process: usize,
        is_scheduler: bool,
    ) -> Self {
        Self { stores, chaos, local, process, is_scheduler }
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.local.runs().await;
        self.chance_to_stop().await;
        match self.chaos.fate(false) {
            Fate::Fine => {
                let answer = self.chaos.time.call(call).await;
                // It may be stopped after it has read, and act on that later.
                if let Some(time) = self.chaos.state().stop_after_read.take() {
                    self.local.stop_for(time);
                }
                self.local.runs().await;
                self.chance_to_stop().await;
                answer
            }
            _ => Err(lost()),
        }
    }

    async fn write<T, F>(&self, call: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.local.runs().await;
        self.chance_to_stop().await;
        let time = Arc::clone(&self.chaos.time);
        // What was sent arrives, also when the process ends meanwhile.
        let sent = |call: F| {
            let time = Arc::clone(&time);
            tasks::to_the_end(async move { time.call(call).await })
        };
        match self.chaos.fate(true) {
            Fate::Fine => sent(call).await.unwrap(),
            Fate::Lost => Err(lost()),
            Fate::NoAnswer => {
                let _ = sent(call).await;
                Err(lost())
            }
            Fate::Late(late) => {
                tasks::detach(async move {
                    time.wait_until(time.now() + late).await;
                    let _ = time.call(call).await;
                });
                Err(lost())
            }
        }
    }

    async fn chance_to_stop(&self) {
        let stops = self.chaos.state().stops;
        if stops > 0 && self.chaos.draw(10_000) < stops {
            self.local.stop_for(self.chaos.seconds(10, 200));
            self.local.runs().await;
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("no answer".into())
}

#[async_trait]
impl TransformStore for Faulty {
    async fn lookup(&self, ids: &[TransformId]) -> Result<Vec<TransformRecord>, StoreError> {
        self.read(self.stores.transforms.lookup(ids)).await
    }

    async fn list(
        &self,
        owner: &Owner,
        page: PageRequest,
    ) -> Result<(Page<TransformRecord>, u64), StoreError> {
        self.read(self.stores.transforms.list(owner, page)).await
    }

    async fn put(&self, record: TransformRecord) -> Result<u64, StoreError> {
        self.stores.transforms.put(record).await
    }

    async fn remove(&self, id: &TransformId, revision: u64) -> Result<(), StoreError> {
        self.stores.transforms.remove(id, revision).await
    }

    async fn readers(&self, id: &DatasetId) -> Result<Vec<TransformRecord>, StoreError> {
        self.read(self.stores.transforms.readers(id)).await
    }

    /// Called once in each tick.
    async fn scheduled(&self, page: PageRequest) -> Result<Page<TransformRecord>, StoreError> {
        self.chaos.state().ticks += 1;
        self.read(self.stores.transforms.scheduled(page)).await
    }
}

#[async_trait]
impl ExecutionStore for Faulty {
    async fn begin(&self, record: ExecutionRecord) -> Result<Begun, StoreError> {
        let this = self.clone();
        self.write(async move {
            let begun = this.stores.executions.begin(record.clone()).await?;
            if begun == Begun::Yes {
                this.chaos.wrote(&record, &this, false);
            }
            Ok(begun)
        })
        .await
    }

    async fn put(&self, record: ExecutionRecord) -> Result<u64, StoreError> {
        let this = self.clone();
        self.write(async move {
            let revision = this.stores.executions.put(record.clone()).await?;
            this.chaos.wrote(&record, &this, false);
            Ok(revision)
        })
        .await
    }

    async fn get(
        &self,
        transform: &TransformId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRecord>, StoreError> {
        self.read(self.stores.executions.get(transform, id)).await
    }

    async fn list(
        &self,
        transform: &TransformId,
        page: PageRequest,
    ) -> Result<(Page<ExecutionRecord>, u64), StoreError> {
        self.read(self.stores.executions.list(transform, page)).await
    }

    async fn running(&self, page: PageRequest) -> Result<Page<ExecutionRecord>, StoreError> {
        self.read(self.stores.executions.running(page)).await
    }

    async fn last_due(&self, transform: &TransformId) -> Result<Option<Timestamp>, StoreError> {
        self.read(self.stores.executions.last_due(transform)).await
    }

    async fn trim(&self, transform: &TransformId, keep: u64, since: Timestamp) -> Result<u64, StoreError> {
        self.stores.executions.trim(transform, keep, since).await
    }
}

#[async_trait]
impl DatasetStore for Faulty {
    async fn lookup(&self, ids: &[DatasetId], names: &[NameKey]) -> Result<Vec<DatasetRecord>, StoreError> {
        self.read(self.stores.datasets.lookup(ids, names)).await
    }

    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<(Page<DatasetRecord>, u64), StoreError> {
        self.read(self.stores.datasets.list(owner, page)).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let this = self.clone();
        self.write(async move {
            let execution = commit.execution.clone();
            let outcome = this.stores.datasets.commit(commit).await;
            if matches!(outcome, Err(StoreError::Conflict(_))) {
                this.chaos.state().refused += 1;
            }
            outcome?;
            if let Some(execution) = execution {
                this.chaos.wrote(&execution, &this, true);
            }
            Ok(())
        })
        .await
    }

    async fn committed(&self, id: &CommitId) -> Result<bool, StoreError> {
        self.read(self.stores.datasets.committed(id)).await
    }

    async fn versions(&self, id: &DatasetId, page: PageRequest) -> Result<Page<VersionRecord>, StoreError> {
        self.read(self.stores.datasets.versions(id, page)).await
    }
}

/// As much of a store of datasets as running transforms takes: what is current, and commits that end an execution.
#[derive(Debug)]
pub(super) struct MemoryDatasets {
    executions: Arc<dyn ExecutionStore>,
    state: Mutex<(BTreeMap<DatasetId, DatasetRecord>, BTreeSet<CommitId>)>,
}

impl MemoryDatasets {
    pub(super) fn new(executions: Arc<dyn ExecutionStore>) -> Self {
        Self { executions, state: Mutex::default() }
    }
}

#[async_trait]
impl DatasetStore for MemoryDatasets {
    async fn lookup(&self, ids: &[DatasetId], _names: &[NameKey]) -> Result<Vec<DatasetRecord>, StoreError> {
        let state = self.state.lock().unwrap();
        Ok(ids.iter().filter_map(|id| state.0.get(id).cloned()).collect())
    }

    async fn list(&self, _: &Owner, _: PageRequest) -> Result<(Page<DatasetRecord>, u64), StoreError> {
        Err(StoreError::Unusable("keeps no lists".to_owned()))
    }

    /// One thread runs the test, and between the two writes it does nothing else: the store of executions never waits.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let (Change::Create(mut record) | Change::Publish(mut record)) = commit.change else {
            return Err(StoreError::Unusable("keeps versions only".to_owned()));
        };
        {
            let state = self.state.lock().unwrap();
            let stored =
                state.0.get(&record.id).map_or((0, 0), |stored| (stored.revision, stored.current.number));
            if stored != (record.revision, record.current.number - 1) || state.1.contains(&commit.id) {
                return Err(StoreError::Conflict(format!("dataset `{}`", record.id)));
            }
        }
        if let Some(execution) = commit.execution {
            self.executions.put(execution).await?;
        }
        record.revision += 1;
        let mut state = self.state.lock().unwrap();
        state.0.insert(record.id.clone(), record);
        state.1.insert(commit.id);
        Ok(())
    }

    async fn committed(&self, id: &CommitId) -> Result<bool, StoreError> {
        Ok(self.state.lock().unwrap().1.contains(id))
    }

    async fn versions(&self, _: &DatasetId, _: PageRequest) -> Result<Page<VersionRecord>, StoreError> {
        Err(StoreError::Unusable("keeps no versions but the current one".to_owned()))
    }
}

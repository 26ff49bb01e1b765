//! Three processes, a store, and everything that can go wrong with them, for weeks.
//!
//! What must come out of it, whatever happens: no due time is committed twice, none is lost where all are to be made up
//! for, nobody commits an execution that somebody else has taken, and nothing runs for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::faulty::Chaos;
use super::process::Process;
use super::runner::Course;
use super::time::Time;
use super::{START, Stores, dataset_id, following, import, on_one_thread, scheduled};
use crate::catalog::store::sqlite::SqliteStore;
use crate::catalog::store::{PageRequest, every};
use crate::catalog::transform::{
    ExecutionRecord, ExecutionStatus, Missed, Reason, Schedule, TransformRecord,
};
use crate::clock::{Clock as _, Timestamp};
use crate::error::Code;
use crate::transform::schedule::Cron;

/// The seed of a run that is not told another one.
const SEED: u64 = 20_261_129;

const PROCESSES: usize = 3;

const MINUTE: Duration = Duration::from_secs(60);

/// Tells which story it was when it had a bad end.
struct Story {
    seed: u64,
}

impl Drop for Story {
    #[expect(clippy::print_stderr, reason = "who reads that a test failed wants to see it fail again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the story of SHIRABE_SIMULATION_SEED={}", self.seed);
        }
    }
}

/// A number that the environment tells.
#[expect(clippy::disallowed_methods, reason = "whoever looks into a failure tells its seed")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Asked a million times and more, a store on a disk would take minutes. What it answers is the same: both pass one suite.
#[test]
fn each_due_time_is_committed_once_whatever_happens() {
    let ticks = told("SHIRABE_SIMULATION_TICKS").unwrap_or(100_000);
    let story = Story { seed: told("SHIRABE_SIMULATION_SEED").unwrap_or(SEED) };
    on_one_thread(async {
        let ended = World::new(story.seed, Stores::in_memory()).await.run(ticks).await;
        // Of a thousand ticks, what makes them worth it; of a few, chance may leave it out.
        let each = ticks / 1_000;
        if ticks < 20_000 {
            return;
        }
        assert!(ended.refused > each, "{ended:?}");
        assert!(ended.again > 2 * each, "{ended:?}");
        assert!(ended.committed > 50 * each, "{ended:?}");
    });
}

#[test]
fn the_same_is_true_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story { seed: told("SHIRABE_SIMULATION_SEED").unwrap_or(SEED) };
    on_one_thread(async {
        let stores = SqliteStore::open(folder.path().join("shirabe.db")).unwrap().stores();
        let stores = Stores {
            transforms: stores.transforms,
            executions: stores.executions,
            datasets: stores.datasets,
        };
        World::new(story.seed, stores).await.run(300).await;
    });
}

/// How much happened.
#[derive(Debug, Default)]
struct Ended {
    /// Executions that were committed.
    committed: u64,
    /// Commits of processes that had lost their execution.
    refused: u64,
    /// Executions that were tried again after an interruption.
    again: u64,
}

#[derive(Debug)]
struct World {
    time: Arc<Time>,
    chaos: Arc<Chaos>,
    stores: Stores,
    transforms: Vec<TransformRecord>,
    processes: Vec<Process>,
}

impl World {
    async fn new(seed: u64, stores: Stores) -> Self {
        let time = Arc::new(Time::default());
        let chaos = Arc::new(Chaos::of(Arc::clone(&time), seed));
        let mut transforms = vec![
            scheduled(0, "*/10 * * * *", Missed::All),
            scheduled(1, "7 * * * *", Missed::All),
            scheduled(2, "*/15 * * * *", Missed::One),
            scheduled(3, "*/5 * * * *", Missed::Skip),
            following(4, &[dataset_id(1)]),
            following(5, &[dataset_id(1), dataset_id(2)]),
            scheduled(6, "0 3 * * *", Missed::Skip),
            // Reads what another one makes.
            following(7, &[dataset_id(1_000)]),
        ];
        transforms[5].schedule =
            Schedule { on_input_change: true, ..scheduled(5, "*/30 * * * *", Missed::One).schedule };
        for transform in &mut transforms {
            transform.schedule.time_zone = "Europe/Berlin".to_owned();
            transform.settings.retries.max = 10;
            transform.revision = stores.transforms.put(transform.clone()).await.unwrap();
        }
        import(&stores, &dataset_id(1), START).await;
        import(&stores, &dataset_id(2), START).await;
        let make = |number| Process::new(number, Arc::clone(&time), stores.clone(), Arc::clone(&chaos));
        let processes = (0..PROCESSES).map(make).collect();
        Self { time, chaos, stores, transforms, processes }
    }

    /// Lets things go wrong for so many ticks, then right again, and looks at what came of it.
    async fn run(mut self, ticks: u64) -> Ended {
        for process in &mut self.processes {
            process.start();
        }
        self.chaos.set_faults(20, 4);
        while self.chaos.ticks() < ticks {
            self.time.run_for(self.chaos.seconds(1, 600)).await;
            self.misfortune().await;
            let violations = self.chaos.violations();
            assert!(violations.is_empty(), "{violations:#?}");
        }
        self.heal().await;
        self.check().await
    }

    /// One thing happens to somebody.
    async fn misfortune(&mut self) {
        let (chaos, now) = (Arc::clone(&self.chaos), self.now());
        let process = &mut self.processes[usize::try_from(chaos.draw(PROCESSES as u64)).unwrap()];
        match chaos.draw(16) {
            0..5 => {
                // One of five does not start anything by the clock for a while.
                process.kill(chaos.draw(5) > 0);
                process.start();
            }
            5..8 => process.local.stop_for(chaos.seconds(100, 400)),
            8..12 => {
                let jump = [-3_600, 3_600, 0, -2, 2][usize::try_from(chaos.draw(5)).unwrap()];
                process.local.set_clock_ahead(jump);
            }
            12 => chaos.outage(chaos.seconds(1, 400)),
            13 => {
                let input = dataset_id(1 + chaos.draw(2));
                import(&self.stores, &input, now).await;
            }
            _ => {
                let days = |days: u64| START.plus_seconds(-i64::try_from(days * 86_400).unwrap());
                let from = days(chaos.draw(60));
                process.ask_backfill(self.transforms[6].clone(), from, START);
            }
        }
    }

    /// One process is left, and everything is as it should be for a while. Then nothing is due any more.
    async fn heal(&mut self) {
        self.chaos.set_faults(0, 0);
        for process in &mut self.processes {
            process.local.set_clock_ahead(0);
            process.kill(true);
        }
        // What takes too long makes the next due time too late, which is as it should be.
        self.processes[0].runner().set(Course::takes(Duration::from_secs(1)));
        self.processes[0].start();
        // Clocks that were ahead may have started what is due in an hour, and commits may be on their way.
        self.time.run_for(80 * MINUTE).await;
        let process = &self.processes[0];
        let from = START.plus_seconds(-60 * 86_400);
        process.scheduler.backfill(&self.transforms[6], from, START, process.local.now()).await.unwrap();
        self.time.run_for(60 * MINUTE).await;
        // Those that others follow first.
        self.end_schedules(|transform| !transform.schedule.on_input_change).await;
        self.end_schedules(|_| true).await;
    }

    async fn end_schedules(&mut self, which: impl Fn(&TransformRecord) -> bool + Send + Sync) {
        let now = self.now();
        let live = self.transforms.iter_mut().filter(|transform| transform.schedule.enabled);
        for transform in live.filter(|transform| which(transform)) {
            transform.schedule.enabled = false;
            transform.updated_at = now;
            transform.revision = self.stores.transforms.put(transform.clone()).await.unwrap();
        }
        self.time.run_for(30 * MINUTE).await;
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(START.micros() + i64::try_from(self.time.now().as_micros()).unwrap())
    }

    async fn check(&self) -> Ended {
        let running = self.stores.executions.running(PageRequest::first(10)).await.unwrap().items;
        assert!(running.is_empty(), "nothing runs for ever: {:#?}", running[0]);
        let commits = self.chaos.commits();
        let violations = self.chaos.violations();
        assert!(violations.is_empty(), "{violations:#?}");
        let mut ended = Ended { refused: self.chaos.refused(), ..Ended::default() };
        for transform in &self.transforms {
            let executions = self.executions(transform).await;
            for execution in &executions {
                let expected = u64::from(execution.status == ExecutionStatus::Success);
                assert_eq!(commits.get(&execution.id).copied().unwrap_or(0), expected, "{execution:#?}");
                ended.committed += expected;
                ended.again += u64::from(execution.attempt > 1);
                self.check_end(transform, execution);
            }
            self.check_due(transform, &executions);
            self.check_versions(transform, &executions).await;
        }
        let all: u64 = commits.values().sum();
        assert_eq!(all, ended.committed, "no commit is of an execution that is not there");
        ended
    }

    async fn executions(&self, transform: &TransformRecord) -> Vec<ExecutionRecord> {
        let page = async |page| Ok(self.stores.executions.list(&transform.id, page).await?.0);
        every(page).await.unwrap()
    }

    fn check_due(&self, transform: &TransformRecord, executions: &[ExecutionRecord]) {
        let name = &transform.name;
        let Some(cron) = &transform.schedule.cron else {
            assert!(executions.iter().all(|execution| execution.scheduled_at.is_none()), "{name}");
            return;
        };
        let cron = Cron::parse(cron, &transform.schedule.time_zone).unwrap();
        let of = |reason| {
            let found = executions.iter().filter(move |execution| execution.reason == reason);
            found.filter_map(|execution| execution.scheduled_at).collect::<Vec<_>>()
        };
        let started: BTreeSet<_> = of(Reason::Due).into_iter().collect();
        assert_eq!(started.len(), of(Reason::Due).len(), "{name}: one execution for each due time");
        let end = transform.updated_at;
        let before = Timestamp::from_micros(START.micros() - 1);
        // What was due in the last minute may not have been looked at.
        let due = cron.due(before, end.plus_seconds(-60), usize::MAX);
        let known: BTreeSet<_> = cron.due(before, end, usize::MAX).into_iter().collect();
        assert!(started.is_subset(&known), "{name}: only what was due");
        match transform.schedule.missed {
            Missed::All => {
                let lost: Vec<_> = due.iter().filter(|time| !started.contains(time)).collect();
                assert_eq!(lost, Vec::<&Timestamp>::new(), "{name}: nothing is lost");
            }
            // In the hours when all was well again nothing was missed.
            Missed::One | Missed::Skip => {
                let well = due.iter().filter(|time| **time >= end.plus_seconds(-3600));
                let lost: Vec<_> = well.filter(|time| !started.contains(time)).collect();
                assert_eq!(
                    lost,
                    Vec::<&Timestamp>::new(),
                    "{name}: nothing is lost while nothing goes wrong"
                );
                // Of a few, chance may leave out most.
                let most = due.len() < 20 || started.len() * 2 > due.len();
                assert!(most, "{name}: {} of {}", started.len(), due.len());
            }
        }
        if cron.next(START) == cron.next(START.plus_seconds(3600)) {
            let range = cron.due(START.plus_seconds(-60 * 86_400 - 1), START, usize::MAX);
            let mut backfilled = of(Reason::Backfill);
            backfilled.sort();
            assert_eq!(backfilled, range, "{name}: each time of the range once");
        }
    }

    /// Each success is a version, and those that follow others have read what is there.
    async fn check_versions(&self, transform: &TransformRecord, executions: &[ExecutionRecord]) {
        let name = &transform.name;
        let output = &transform.output_dataset_id;
        let stored = self.stores.datasets.lookup(std::slice::from_ref(output), &[]).await.unwrap().pop();
        let succeeded = executions.iter().filter(|execution| execution.status == ExecutionStatus::Success);
        let versions = stored.map_or(0, |stored| stored.current.number);
        assert_eq!(versions, succeeded.count() as u64, "{name}: a version for each success");
        if transform.schedule.on_input_change {
            for id in transform.input_ids() {
                let current = self.stores.datasets.lookup(std::slice::from_ref(id), &[]).await.unwrap();
                let read = executions.iter().flat_map(|execution| &execution.inputs);
                let newest = read.filter(|input| input.dataset_id == *id).map(|input| input.version).max();
                // The first versions were there before.
                let version = current[0].current.number;
                assert_eq!(newest.unwrap_or(1), version, "{name}: the last change was followed");
            }
        }
    }

    /// What failed is told why, and was given up only once nothing more was to be tried.
    fn check_end(&self, transform: &TransformRecord, execution: &ExecutionRecord) {
        assert!(execution.finished_at.is_some_and(|end| end >= execution.started_at), "{execution:#?}");
        let due = execution.scheduled_at.filter(|_| execution.reason == Reason::Due);
        assert!(
            due.is_none_or(|due| due <= execution.started_at && due >= transform.schedule.since),
            "{execution:#?}"
        );
        assert_eq!(
            execution.failure.is_some(),
            execution.status == ExecutionStatus::Failed,
            "{execution:#?}"
        );
        let interrupted =
            execution.failure.as_ref().is_some_and(|failure| failure.code == Code::ServiceUnavailable);
        if interrupted && !self.chaos.given_up().contains(&execution.id) {
            assert_eq!(execution.attempt, transform.settings.retries.max + 1, "{execution:#?}");
        }
    }
}

//! Answering a statement: from what is kept, by the run of an equal query, or by a run of its own.
//!
//! Why before the queue: an answer that is there takes no turn of somebody who has to compute theirs, and it
//! comes at once however many wait.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde::Serialize;

use super::cache::{self, Answer, Body, Fill, Known, PlanKey, Planned, Results, Running, StatementKey};
use super::classify::classify;
use super::execute::{self, Plan};
use super::running::Run;
use super::scan_budget::ScanBudget;
use super::stream::Deadline;
use super::{Engine, How, Progress, QuerySpec, QueryStream};
use crate::catalog::record::CacheUse;
use crate::error::{Error, Result};
use crate::telemetry::RESULT_CACHE;

/// A statement's answer on its way, and how far it has come.
#[derive(Debug)]
pub struct Asked {
    pub answer: Answer,
    pub progress: Arc<Progress>,
}

/// What is kept between queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Caches {
    /// Encoded results.
    pub results: Fill,
    /// Optimised plans.
    pub plans: Fill,
    /// What is known of versions.
    pub manifests: Fill,
    /// What is known of their files.
    pub footers: Fill,
    /// Columns that are decoded.
    pub columns: Fill,
}

impl Engine {
    /// Answers `spec`, as `encode` writes its rows. Answers in equal forms have to be equal to the byte; with
    /// `use_cache` they are shared.
    ///
    /// # Errors
    /// As [`Engine::run`], and what `encode` fails with.
    pub async fn ask<E, F>(
        &self,
        spec: QuerySpec,
        use_cache: bool,
        form: &(impl Hash + Sync),
        encode: E,
    ) -> Result<Asked>
    where
        E: FnOnce(QueryStream) -> F + Send + 'static,
        F: Future<Output = Result<Running>> + Send + 'static,
    {
        let deadline = Deadline::after(Duration::from_millis(spec.limits.deadline_ms));
        let run = self.0.running.begin(spec.about())?;
        let live = Arc::clone(run.live());
        // Taken by the run, if there has to be one.
        let mut run = Some(run);
        let asking = async {
            let known = self.known(&spec).await?;
            let key = match &known {
                Some(planned) => Some(planned.key),
                None => self.key_without_plan(&spec)?,
            };
            let results = self.0.results.as_ref().filter(|_| use_cache);
            match (key, results) {
                (Some(key), Some(results)) => {
                    let key = key.result(&spec.limits, form);
                    let start = || self.run_for(&mut run, CacheUse::Miss, spec, known, deadline, encode);
                    results.ask(key, start).await
                }
                _ => {
                    metrics::counter!(RESULT_CACHE, "use" => CacheUse::Bypass.as_str()).increment(1);
                    let run = self.run_for(&mut run, CacheUse::Bypass, spec, known, deadline, encode);
                    let body = Body::Frames(run.await?.frames);
                    Ok(Answer { cache: CacheUse::Bypass, body })
                }
            }
        };
        let answer = live.bound(deadline, asking).await;
        if let Some(mut run) = run {
            match &answer {
                Ok(Answer { cache, body }) => {
                    live.used_cache(*cache);
                    if let Body::Whole(kept) = body {
                        live.progress().kept(kept.ended, kept.byte_count());
                    }
                    run.complete();
                }
                Err(error) => run.fail(error),
            }
        }
        Ok(Asked { answer: answer?, progress: Arc::clone(live.progress()) })
    }

    /// What the caches hold, and how often they had what was asked for.
    #[must_use]
    pub fn caches(&self) -> Caches {
        let footers = self.0.pools.footers().list_entries();
        let (bytes, hits) = footers
            .values()
            .fold((0, 0), |(bytes, hits), entry| (bytes + entry.size_bytes as u64, hits + entry.hits as u64));
        Caches {
            results: self.0.results.as_ref().map(Results::fill).unwrap_or_default(),
            plans: self.0.plans.fill(),
            manifests: self.0.manifests.fill(),
            footers: Fill { entries: footers.len() as u64, bytes, hits, misses: None },
            columns: self.0.hot.as_ref().map(|hot| hot.fill()).unwrap_or_default(),
        }
    }

    /// A run of its own.
    fn run_for<E, F>(
        &self,
        run: &mut Option<Run>,
        cache: CacheUse,
        spec: QuerySpec,
        known: Known,
        deadline: Deadline,
        encode: E,
    ) -> impl Future<Output = Result<Running>> + Send + use<E, F>
    where
        E: FnOnce(QueryStream) -> F + Send + 'static,
        F: Future<Output = Result<Running>> + Send + 'static,
    {
        let (run, engine) = (run.take(), self.clone());
        async move {
            let run = run.ok_or_else(|| Error::internal("a query runs for the second time"))?;
            run.live().used_cache(cache);
            let limits = spec.limits;
            let planner = engine.clone();
            let how = match engine.isolation_of(&spec) {
                Some(isolation) => How::Elsewhere(isolation, Box::new(spec)),
                None => How::Here(
                    async move {
                        match known {
                            Some(planned) => planner.ready(&spec, &planned),
                            None => Ok(Plan::new(planner.plan(&spec).await?, ScanBudget::of(&spec))),
                        }
                    }
                    .boxed(),
                ),
            };
            let rows = engine.launch(run, limits, deadline, how).await?;
            encode(rows).await
        }
    }

    /// A plan that was kept, ready to be run.
    fn ready(&self, spec: &QuerySpec, planned: &Planned) -> Result<Plan> {
        let state = self.0.sessions.planner(&spec.time_zone, planned.calls_functions)?;
        Ok(Plan { state, plan: planned.plan.clone(), optimised: true, budget: ScanBudget::of(spec) })
    }

    /// The plan of `spec`, kept or made now. None when it changes from run to run, and when another process is to
    /// run it: then it is not planned in this one either.
    async fn known(&self, spec: &QuerySpec) -> Result<Known> {
        if self.isolation_of(spec).is_some() {
            return Ok(None);
        }
        let Some(key) = StatementKey::of(spec) else { return Ok(None) };
        let (engine, spec) = (self.clone(), spec.clone());
        let plan = Box::pin(self.0.planners.run(async move { engine.plan_to_keep(&spec, key).await }));
        self.0.plans.find(&key, plan).await
    }

    /// What stands for a plan that is made in another process: the statement, which has to be the same to the letter.
    fn key_without_plan(&self, spec: &QuerySpec) -> Result<Option<PlanKey>> {
        if self.isolation_of(spec).is_none() || self.is_volatile(spec)? {
            return Ok(None);
        }
        Ok(StatementKey::of(spec).map(PlanKey::of_statement))
    }

    async fn plan_to_keep(&self, spec: &QuerySpec, key: StatementKey) -> Result<Known> {
        let (state, plan) = self.plan(spec).await?;
        if cache::is_volatile(&plan).map_err(classify)? {
            return Ok(None);
        }
        let plan = execute::with_limit(plan, spec.limits.rows).map_err(classify)?;
        let plan = state.optimize(&plan).map_err(classify)?;
        let key = cache::PlanKey::of(&plan, spec, key);
        Ok(Some(Arc::new(Planned::new(plan, key).map_err(classify)?)))
    }
}

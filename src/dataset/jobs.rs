//! Imports that run apart from the request that started them: bounded, watched, cancelled.
//!
//! Why: a client may go away, a proxy may give up after a minute, and the import should go on; or
//! somebody thinks better of it, and it should stop. A restart forgets jobs: what they published stays,
//! what they did not publish never was.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;

use super::progress::{Progress, Stage};
use crate::auth::Principal;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{ImportId, UserId};
use crate::tasks;
use crate::write_steps::write_step;

/// Finished jobs that can still be asked about.
const REMEMBERED_MAX: usize = 500;

/// How a job ended, or that it has not.
#[derive(Debug)]
pub enum State<T> {
    Running,
    Completed(T),
    Failed(Error),
    Cancelled,
}

/// One import.
#[derive(Debug)]
pub struct Job<T> {
    pub id: ImportId,
    pub user_id: UserId,
    /// What is imported, as its user calls it.
    pub title: String,
    pub started_at: Timestamp,
    pub progress: Arc<Progress>,
    state: watch::Receiver<Arc<State<T>>>,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
    ended: watch::Sender<Arc<State<T>>>,
}

impl<T: Send + Sync> Job<T> {
    /// How it stands.
    #[must_use]
    pub fn state(&self) -> Arc<State<T>> {
        Arc::clone(&self.state.borrow())
    }

    /// How it stands once it has ended, or after `patience`.
    pub async fn wait(&self, patience: Duration) -> Arc<State<T>> {
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| !matches!(**state, State::Running));
        // Out of patience or not, the answer is what the state is now.
        let _ = tokio::time::timeout(patience, ended).await;
        self.state()
    }

    /// How it ended.
    pub async fn ended(&self) -> Arc<State<T>> {
        let mut state = self.state.clone();
        // The sender lives as long as the job, so this waits for an end and for nothing else.
        let _ = state.wait_for(|state| !matches!(**state, State::Running)).await;
        self.state()
    }

    fn cancel(&self) {
        self.ended.send_if_modified(|state| {
            let running = matches!(**state, State::Running);
            if running {
                *state = Arc::new(State::Cancelled);
            }
            running
        });
        drop(self.task.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// All jobs of this process.
#[derive(Debug)]
pub struct Jobs<T> {
    jobs: Mutex<VecDeque<Arc<Job<T>>>>,
    slots: Arc<Semaphore>,
    running_max: usize,
    waiting_max: usize,
}

impl<T: Send + Sync + 'static> Jobs<T> {
    /// No jobs yet; at most `running_max` at a time, and `waiting_max` that wait.
    #[must_use]
    pub fn new(running_max: usize, waiting_max: usize) -> Self {
        let running_max = running_max.max(1);
        Self {
            jobs: Mutex::default(),
            slots: Arc::new(Semaphore::new(running_max)),
            running_max,
            waiting_max,
        }
    }

    /// Starts `work` in the background.
    ///
    /// # Errors
    /// `Unavailable` when too many wait already.
    pub fn start<F>(
        &self,
        principal: &Principal,
        title: String,
        now: Timestamp,
        work: impl FnOnce(Arc<Progress>) -> F,
    ) -> Result<Arc<Job<T>>, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = unfinished(&jobs);
        if unfinished >= self.running_max + self.waiting_max {
            let message = format!("{unfinished} imports run or wait already: try again later");
            return Err(Error::Unavailable { message, cause: None });
        }
        let (ended, state) = watch::channel(Arc::new(State::Running));
        let progress = Arc::new(Progress::default());
        let job = Arc::new(Job {
            id: ImportId::random(),
            user_id: principal.user_id.clone(),
            title,
            started_at: now,
            progress: Arc::clone(&progress),
            state,
            task: Mutex::new(None),
            ended: ended.clone(),
        });
        let task = self.task(ended, Arc::clone(&progress), work(progress));
        *job.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        jobs.push_back(Arc::clone(&job));
        forget_old(&mut jobs);
        Ok(job)
    }

    fn task<F>(
        &self,
        ended: watch::Sender<Arc<State<T>>>,
        progress: Arc<Progress>,
        work: F,
    ) -> AbortOnDropHandle<()>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let slots = Arc::clone(&self.slots);
        tasks::spawn(async move {
            // The semaphore is never closed; were it, the work would run unbounded rather than never.
            let _slot = slots.acquire_owned().await.ok();
            let outcome = match work.await {
                Ok(result) => State::Completed(result),
                Err(error) => State::Failed(error),
            };
            write_step!("import.before_answer");
            progress.enter(Stage::Finished);
            ended.send_if_modified(|state| {
                let running = matches!(**state, State::Running);
                if running {
                    *state = Arc::new(outcome);
                }
                running
            });
        })
    }

    /// Jobs that run or wait.
    #[must_use]
    pub fn running(&self) -> usize {
        unfinished(&self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The caller's jobs, newest first; an administrator's list holds everybody's.
    #[must_use]
    pub fn list(&self, principal: &Principal) -> Vec<Arc<Job<T>>> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().rev().filter(|job| sees(principal, job)).cloned().collect()
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound` when there is none, it was forgotten, or it is another user's.
    pub fn get(&self, principal: &Principal, id: &ImportId) -> Result<Arc<Job<T>>, Error> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let found = jobs.iter().find(|job| job.id == *id && sees(principal, job));
        found.cloned().ok_or_else(|| Error::not_found("import", id))
    }

    /// Ends a job that has not ended; one that has stays as it is.
    ///
    /// # Errors
    /// `NotFound`, as for [`Jobs::get`].
    pub fn cancel(&self, principal: &Principal, id: &ImportId) -> Result<Arc<Job<T>>, Error> {
        let job = self.get(principal, id)?;
        job.cancel();
        Ok(job)
    }
}

fn unfinished<T: Send + Sync>(jobs: &VecDeque<Arc<Job<T>>>) -> usize {
    jobs.iter().filter(|job| matches!(*job.state(), State::Running)).count()
}

fn sees<T>(principal: &Principal, job: &Job<T>) -> bool {
    principal.sees_all() || job.user_id == principal.user_id
}

/// Drops the oldest finished jobs when there are too many.
fn forget_old<T: Send + Sync>(jobs: &mut VecDeque<Arc<Job<T>>>) {
    while jobs.len() > REMEMBERED_MAX {
        let Some(oldest) = jobs.iter().position(|job| !matches!(*job.state(), State::Running)) else {
            return;
        };
        jobs.remove(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Role, Scope};

    const NOW: Timestamp = Timestamp::from_seconds(0);

    fn user() -> Principal {
        Principal {
            user_id: UserId::random(),
            email: "a@example.com".to_owned(),
            role: Role::User,
            scope: Scope::Full,
            operator: false,
            scan_bytes_max: None,
        }
    }

    #[tokio::test]
    async fn a_job_tells_how_it_ended() {
        let (jobs, user) = (Jobs::new(2, 0), user());
        let good = jobs.start(&user, "a".into(), NOW, |_| async { Ok(7) }).unwrap();
        let bad = jobs.start(&user, "b".into(), NOW, |_| async { Err(Error::invalid("no")) }).unwrap();
        assert!(matches!(*good.ended().await, State::Completed(7)));
        assert!(matches!(*bad.ended().await, State::Failed(_)));
        assert_eq!(jobs.list(&user).len(), 2);
    }

    #[tokio::test]
    async fn a_cancelled_job_is_dropped_where_it_stands() {
        let (jobs, user) = (Jobs::<()>::new(1, 0), user());
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let job = jobs.start(&user, "slow".into(), NOW, |_| async move {
            let _alive = alive;
            std::future::pending().await
        });
        let id = job.unwrap().id.clone();
        let job = jobs.cancel(&user, &id).unwrap();
        assert!(matches!(*job.ended().await, State::Cancelled));
        assert!(dropped.await.is_err(), "what it held was dropped");
    }

    #[tokio::test]
    async fn too_many_are_refused_and_others_unseen() {
        let (jobs, user, other) = (Jobs::<()>::new(1, 1), user(), self::tests::user());
        let start = || jobs.start(&user, "x".into(), NOW, |_| std::future::pending());
        let first = start().unwrap();
        start().unwrap();
        assert!(matches!(start(), Err(Error::Unavailable { .. })));
        assert!(matches!(jobs.get(&other, &first.id), Err(Error::NotFound { .. })));
        assert!(jobs.list(&other).is_empty());
        jobs.cancel(&user, &first.id).unwrap();
        start().unwrap();
    }
}

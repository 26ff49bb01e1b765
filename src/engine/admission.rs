//! Who may run now. A query takes a slot before it is planned and gives it back when its work has really ended;
//! who finds none waits in a bounded queue, and past that is told at once to come back.
//!
//! Why fair by user: with one queue for all, who sends a hundred queries makes everybody else wait for them. A
//! free slot goes to the waiting user who has the fewest queries running, and among those to the one who was
//! served longest ago.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::telemetry::{QUERIES_QUEUED, QUERIES_RUNNING};

/// What a user is told to wait whose own queue is full, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// How many queries run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Queries that run at the same time.
    pub running_max: usize,
    /// Of one user.
    pub running_per_user_max: usize,
    /// Queries that wait for their turn.
    pub waiting_max: usize,
    /// Of one user.
    pub waiting_per_user_max: usize,
}

/// The door to the processors. Clones are the same door.
#[derive(Debug, Clone)]
pub(super) struct Admission(Arc<Door>);

#[derive(Debug)]
struct Door {
    limits: AdmissionLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Users with queries here; ordered, so that a tie has one outcome.
    users: BTreeMap<UserId, User>,
    /// Counts what was granted and who came, for who was served longest ago.
    clock: u64,
}

#[derive(Debug, Default)]
struct User {
    running: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Slot>)>,
    served_at: u64,
}

/// The right to run, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    door: Option<Arc<Door>>,
    user: UserId,
}

/// A place in the queue, left when it is dropped.
#[derive(Debug)]
struct Place {
    door: Arc<Door>,
    user: UserId,
    ticket: u64,
    granted: oneshot::Receiver<Slot>,
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self(Arc::new(Door { limits, state: Mutex::default() }))
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// At once: `RateLimited` when too many queries of `user` wait, `Unavailable` when too many of all do.
    pub(super) async fn enter(&self, user: &UserId) -> Result<Slot> {
        let mut place = self.0.queue(user)?;
        let slot = (&mut place.granted).await;
        slot.map_err(|_| Error::internal("a place in the queue was lost"))
    }

    /// Queries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.state().waiting
    }

    /// Queries whose work has not ended.
    pub(super) fn running(&self) -> usize {
        self.0.state().running
    }
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are changed in one go, so a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(self: &Arc<Self>, user: &UserId) -> Result<Place> {
        let (grant, granted) = oneshot::channel();
        let ticket = {
            let state = &mut *self.state();
            let free = state.running < self.limits.running_max;
            let of_user = state.users.entry(user.clone()).or_default();
            let runs_at_once = free && of_user.running < self.limits.running_per_user_max;
            // Who can be served at once was never in the queue: a free slot means that nobody waits for one.
            if !runs_at_once && of_user.waiting.len() >= self.limits.waiting_per_user_max {
                return Err(Error::RateLimited { retry_after_s: RETRY_AFTER_S });
            }
            if !runs_at_once && state.waiting >= self.limits.waiting_max {
                return Err(Error::Unavailable {
                    message: format!("too many queries are waiting ({}): try again later", state.waiting),
                    cause: None,
                });
            }
            state.clock += 1;
            of_user.waiting.push_back((state.clock, grant));
            state.waiting += 1;
            state.clock
        };
        metrics::gauge!(QUERIES_QUEUED).increment(1);
        let place = Place { door: Arc::clone(self), user: user.clone(), ticket, granted };
        self.grant();
        Ok(place)
    }

    /// Hands free slots out.
    fn grant(self: &Arc<Self>) {
        while let Some((user, to)) = self.next() {
            metrics::gauge!(QUERIES_QUEUED).decrement(1);
            metrics::gauge!(QUERIES_RUNNING).increment(1);
            // Whoever left meanwhile: the slot comes back, and with it this loop's next turn.
            drop(to.send(Slot { door: Some(Arc::clone(self)), user }));
        }
    }

    /// Takes the one whose turn it is out of the queue and counts it as running.
    fn next(&self) -> Option<(UserId, oneshot::Sender<Slot>)> {
        let state = &mut *self.state();
        if state.running >= self.limits.running_max {
            return None;
        }
        let served_next = |(_, user): &(&UserId, &mut User)| (user.running, user.served_at);
        let may_run = |(_, user): &(&UserId, &mut User)| {
            !user.waiting.is_empty() && user.running < self.limits.running_per_user_max
        };
        let (id, user) = state.users.iter_mut().filter(may_run).min_by_key(served_next)?;
        let (_, to) = user.waiting.pop_front()?;
        state.clock += 1;
        user.served_at = state.clock;
        user.running += 1;
        state.running += 1;
        state.waiting -= 1;
        Some((id.clone(), to))
    }

    /// Changes what is counted of `user`, who is forgotten once nothing is.
    fn change(&self, user: &UserId, change: impl FnOnce(&mut State, &mut User)) {
        let state = &mut *self.state();
        let Some(mut of_user) = state.users.remove(user) else { return };
        change(state, &mut of_user);
        if of_user.running > 0 || !of_user.waiting.is_empty() {
            state.users.insert(user.clone(), of_user);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(door) = self.door.take() else { return };
        door.change(&self.user, |state, user| {
            state.running -= 1;
            user.running -= 1;
        });
        metrics::gauge!(QUERIES_RUNNING).decrement(1);
        door.grant();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.change(&self.user, |state, user| {
            let left = user.waiting.iter().position(|(ticket, _)| *ticket == self.ticket);
            if let Some(at) = left {
                user.waiting.remove(at);
                state.waiting -= 1;
                metrics::gauge!(QUERIES_QUEUED).decrement(1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::error::Code;

    const LIMITS: AdmissionLimits =
        AdmissionLimits { running_max: 3, running_per_user_max: 2, waiting_max: 5, waiting_per_user_max: 3 };

    fn users() -> [UserId; 3] {
        ["user_aaaaaaaaaaaa", "user_bbbbbbbbbbbb", "user_cccccccccccc"].map(|id| UserId::parse(id).unwrap())
    }

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Slot>> + Send + 'a>>;

    /// One that has to wait.
    fn waits<'a>(door: &'a Admission, user: &'a UserId) -> Waiting<'a> {
        let mut waiting: Waiting<'_> = Box::pin(door.enter(user));
        assert!((&mut waiting).now_or_never().is_none(), "{user} did not wait");
        waiting
    }

    fn enters(door: &Admission, user: &UserId) -> Slot {
        door.enter(user).now_or_never().expect("has to wait").unwrap()
    }

    #[test]
    fn a_slot_goes_to_who_has_the_fewest() {
        let (door, [ana, ben, eva]) = (Admission::new(LIMITS), users());
        let first = enters(&door, &ana);
        let _second = enters(&door, &ana);
        // There is a free slot, but two are what one user may have.
        let mut third = waits(&door, &ana);
        let of_ben = enters(&door, &ben);
        let mut fourth = waits(&door, &ana);
        let mut of_eva = waits(&door, &eva);
        assert_eq!((door.running(), door.waiting()), (3, 3));

        // Eva came last, and has none.
        drop(of_ben);
        let of_eva = (&mut of_eva).now_or_never().unwrap().unwrap();
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = (&mut third).now_or_never().unwrap().unwrap();
        assert!((&mut fourth).now_or_never().is_none());
        drop((of_eva, third));
        assert!((&mut fourth).now_or_never().unwrap().is_ok());
    }

    #[test]
    fn what_is_full_says_so_at_once() {
        let (door, [ana, ben, eva]) = (Admission::new(LIMITS), users());
        let mut running = vec![enters(&door, &ana), enters(&door, &ana), enters(&door, &ben)];
        let of_ana: Vec<_> = (0..3).map(|_| waits(&door, &ana)).collect();
        check(&door, &ana, Code::RateLimitExceeded);
        let _of_ben: Vec<_> = (0..2).map(|_| waits(&door, &ben)).collect();
        check(&door, &eva, Code::ServiceUnavailable);
        // Who leaves makes room.
        drop(of_ana);
        assert_eq!(door.waiting(), 2);
        let mut of_eva = waits(&door, &eva);
        running.clear();
        assert!((&mut of_eva).now_or_never().unwrap().is_ok());

        #[track_caller]
        fn check(door: &Admission, user: &UserId, expected: Code) {
            let error = door.enter(user).now_or_never().expect("waits").unwrap_err();
            assert_eq!(error.code(), expected);
        }
    }

    #[test]
    fn nothing_is_kept_of_who_has_gone() {
        let (door, [ana, ben, _]) = (Admission::new(LIMITS), users());
        let slots: Vec<_> = (0..2).map(|_| enters(&door, &ana)).collect();
        let waiting = waits(&door, &ana);
        let of_ben = enters(&door, &ben);
        drop((waiting, slots, of_ben));
        let state = door.0.state();
        assert_eq!((state.running, state.waiting, state.users.len()), (0, 0, 0));
    }

    /// The slot is granted, and its owner gone before it looked.
    #[test]
    fn a_slot_that_nobody_takes_comes_back() {
        let limits = AdmissionLimits { running_max: 1, ..LIMITS };
        let (door, [ana, ben, eva]) = (Admission::new(limits), users());
        let running = enters(&door, &ana);
        let of_ben = waits(&door, &ben);
        let mut of_eva = waits(&door, &eva);
        drop(running);
        drop(of_ben);
        assert!((&mut of_eva).now_or_never().unwrap().is_ok());
        drop(of_eva);
        assert_eq!((door.running(), door.waiting()), (0, 0));
    }
}

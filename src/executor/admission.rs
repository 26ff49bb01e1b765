//! Who may run Python now. A run takes its turn with all the memory that it may use, and gives it back when its process
//! is dead; who finds none waits in a bounded queue, and past that is told at once to come back.
//!
//! Why by memory: a number of runs says nothing of a machine on which each may take gigabytes. What all runs may take
//! together is never more than there is, however many could run by their number.
//!
//! Why fair by user: a free turn goes to the waiting user who has the fewest running, and among those to the one who
//! was served longest ago. Cards go before transforms, because somebody looks at them; but a run that others have
//! overtaken often enough is next, or large ones would wait for ever behind small ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Class;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::telemetry::{PYTHON_MEMORY_RESERVED, PYTHON_QUEUED, PYTHON_RUNNING};

/// Runs that may overtake one that finds no memory.
const OVERTAKEN_MAX: u32 = 16;

/// How many run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// What all runs together may take.
    pub memory_bytes_max: u64,
    pub cards_max: usize,
    pub transforms_max: usize,
    /// Runs that wait for their turn; one user's are at most three quarters of them.
    pub waiting_max: usize,
    /// How long one waits at most.
    pub wait_max: Duration,
}

impl AdmissionLimits {
    fn running_max(&self, class: Class) -> usize {
        match class {
            Class::Card => self.cards_max,
            Class::Transform => self.transforms_max,
        }
    }

    /// Whoever keeps as many waiting as they may leaves room for others.
    fn waiting_per_user_max(&self) -> usize {
        (self.waiting_max * 3).div_ceil(4)
    }
}

/// The door. Clones are the same door.
#[derive(Debug, Clone)]
pub(super) struct Admission(Arc<Door>);

#[derive(Debug)]
struct Door {
    limits: AdmissionLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    memory_bytes: u64,
    running: ByClass<usize>,
    waiting: usize,
    /// Runs that overtook the next of each class, which found no memory.
    overtaken: ByClass<u32>,
    /// Users with runs here; ordered, so that a tie has one outcome.
    users: BTreeMap<UserId, User>,
    /// Counts what was granted and who came, for who was served longest ago.
    clock: u64,
}

#[derive(Debug, Default)]
struct ByClass<T>([T; 2]);

impl<T> ByClass<T> {
    fn of(&mut self, class: Class) -> &mut T {
        let [card, transform] = &mut self.0;
        match class {
            Class::Card => card,
            Class::Transform => transform,
        }
    }
}

#[derive(Debug, Default)]
struct User {
    running: usize,
    waiting: ByClass<VecDeque<Waiting>>,
    served_at: u64,
}

impl User {
    fn waiting_count(&self) -> usize {
        self.waiting.0.iter().map(VecDeque::len).sum()
    }
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    memory_bytes: u64,
    grant: oneshot::Sender<Slot>,
}

/// The right to run and to take memory, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    door: Arc<Door>,
    user: UserId,
    class: Class,
    memory_bytes: u64,
    is_running: bool,
}

/// A place in the queue, left when it is dropped.
#[derive(Debug)]
struct Place {
    door: Arc<Door>,
    user: UserId,
    class: Class,
    ticket: u64,
    granted: oneshot::Receiver<Slot>,
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self(Arc::new(Door { limits, state: Mutex::default() }))
    }

    pub(super) fn limits(&self) -> &AdmissionLimits {
        &self.0.limits
    }

    /// Waits for a turn with `memory_bytes`, which are at most what all may take together.
    ///
    /// # Errors
    /// `Unavailable`, which names the limit: at once when too many wait, else when the wait was too long.
    pub(super) async fn enter(&self, user: &UserId, class: Class, memory_bytes: u64) -> Result<Slot> {
        let mut place = self.0.queue(user, class, memory_bytes.min(self.0.limits.memory_bytes_max))?;
        match tokio::time::timeout(self.0.limits.wait_max, &mut place.granted).await {
            Ok(slot) => slot.map_err(|_| Error::internal("a place in the queue was lost")),
            Err(_) => Err(self.0.too_long(class)),
        }
    }

    /// Runs whose process is not dead.
    pub(super) fn running(&self) -> usize {
        self.0.state().running.0.iter().sum()
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.state().waiting
    }

    /// What runs have taken together, or may take.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.0.state().memory_bytes
    }
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are changed in one go, so a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(self: &Arc<Self>, user: &UserId, class: Class, memory_bytes: u64) -> Result<Place> {
        let (grant, granted) = oneshot::channel();
        let ticket = {
            let state = &mut *self.state();
            let goes_at_once = state.waiting == 0
                && *state.running.of(class) < self.limits.running_max(class)
                && state.memory_bytes.saturating_add(memory_bytes) <= self.limits.memory_bytes_max;
            let of_user = state.users.get(user).map_or(0, User::waiting_count);
            // Who goes at once was never in the queue, which may have no place at all.
            if !goes_at_once && state.waiting >= self.limits.waiting_max {
                return Err(full(&format!(
                    "too many runs of Python are waiting ({}, `EXECUTOR_WAITING_MAX`)",
                    state.waiting
                )));
            }
            if !goes_at_once && of_user >= self.limits.waiting_per_user_max() {
                return Err(full(&format!(
                    "too many of your runs of Python are waiting ({of_user}, three quarters of \
                     `EXECUTOR_WAITING_MAX`)"
                )));
            }
            state.clock += 1;
            state.waiting += 1;
            let ticket = state.clock;
            let user = state.users.entry(user.clone()).or_default();
            user.waiting.of(class).push_back(Waiting { ticket, memory_bytes, grant });
            ticket
        };
        metrics::gauge!(PYTHON_QUEUED).increment(1);
        let place = Place { door: Arc::clone(self), user: user.clone(), class, ticket, granted };
        self.grant();
        Ok(place)
    }

    /// Hands free turns out.
    fn grant(self: &Arc<Self>) {
        while let Some((user, class, waiting)) = self.next() {
            metrics::gauge!(PYTHON_QUEUED).decrement(1);
            metrics::gauge!(PYTHON_RUNNING).increment(1);
            metrics::gauge!(PYTHON_MEMORY_RESERVED).increment(waiting.memory_bytes as f64);
            let slot = Slot {
                door: Arc::clone(self),
                user,
                class,
                memory_bytes: waiting.memory_bytes,
                is_running: true,
            };
            // Whoever left meanwhile: the slot comes back, and with it this loop's next turn.
            drop(waiting.grant.send(slot));
        }
    }

    /// Takes the one whose turn it is out of the queue and counts it as running.
    fn next(&self) -> Option<(UserId, Class, Waiting)> {
        let state = &mut *self.state();
        let mut classes = [Class::Card, Class::Transform];
        classes.sort_by_key(|class| *state.overtaken.of(*class) < OVERTAKEN_MAX);
        for class in classes {
            if *state.running.of(class) >= self.limits.running_max(class) {
                continue;
            }
            let Some(user) = state.next_user(class) else { continue };
            let Some(waiting) = state.take(&user, class, self.limits.memory_bytes_max) else {
                if *state.overtaken.of(class) >= OVERTAKEN_MAX {
                    return None;
                }
                continue;
            };
            *state.overtaken.of(class) = 0;
            let other = class.other();
            if state.next_user(other).is_some() && *state.running.of(other) < self.limits.running_max(other) {
                *state.overtaken.of(other) += 1;
            }
            return Some((user, class, waiting));
        }
        None
    }

    /// Changes what is counted of `user`, who is forgotten once nothing is.
    fn change(&self, user: &UserId, change: impl FnOnce(&mut State, &mut User)) {
        let state = &mut *self.state();
        let Some(mut of_user) = state.users.remove(user) else { return };
        change(state, &mut of_user);
        if of_user.running > 0 || of_user.waiting_count() > 0 {
            state.users.insert(user.clone(), of_user);
        }
    }

    /// Says which limit the wait was for.
    fn too_long(&self, class: Class) -> Error {
        let state = &mut *self.state();
        let running = *state.running.of(class);
        let limit = if running >= self.limits.running_max(class) {
            format!("{running} {class}s run (`{}`)", class.limit_name())
        } else {
            let all = self.limits.memory_bytes_max >> 20;
            format!(
                "those that run may take {} of {all} MiB (`EXECUTOR_MEMORY_MB`)",
                state.memory_bytes >> 20
            )
        };
        let seconds = self.limits.wait_max.as_secs();
        full(&format!("no turn to run Python within {seconds} s: {limit}"))
    }
}

impl State {
    /// Whose turn it is.
    fn next_user(&self, class: Class) -> Option<UserId> {
        let waits = |user: &User| match class {
            Class::Card => !user.waiting.0[0].is_empty(),
            Class::Transform => !user.waiting.0[1].is_empty(),
        };
        let waiting = self.users.iter().filter(|(_, user)| waits(user));
        waiting.min_by_key(|(_, user)| (user.running, user.served_at)).map(|(id, _)| id.clone())
    }

    /// The first of `user` that waits, if there is memory for it.
    fn take(&mut self, user: &UserId, class: Class, memory_bytes_max: u64) -> Option<Waiting> {
        let of_user = self.users.get_mut(user)?;
        let queue = of_user.waiting.of(class);
        let first = queue.front()?;
        if self.memory_bytes.saturating_add(first.memory_bytes) > memory_bytes_max {
            return None;
        }
        let waiting = queue.pop_front()?;
        self.clock += 1;
        of_user.served_at = self.clock;
        of_user.running += 1;
        *self.running.of(class) += 1;
        self.waiting -= 1;
        self.memory_bytes += waiting.memory_bytes;
        Some(waiting)
    }
}

impl Class {
    fn other(self) -> Self {
        match self {
            Self::Card => Self::Transform,
            Self::Transform => Self::Card,
        }
    }

    fn limit_name(self) -> &'static str {
        match self {
            Self::Card => "EXECUTOR_MAX_CONCURRENT_CARDS",
            Self::Transform => "EXECUTOR_MAX_CONCURRENT_TRANSFORMS",
        }
    }
}

impl Slot {
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// What no run has reserved.
    pub(super) fn memory_left(&self) -> u64 {
        self.door.limits.memory_bytes_max.saturating_sub(self.door.state().memory_bytes)
    }

    /// The process is dead: what is kept from now on is memory for what it left.
    pub(super) fn keep_only(&mut self, memory_bytes: u64) {
        self.give_back(self.memory_bytes.saturating_sub(memory_bytes));
    }

    fn give_back(&mut self, memory_bytes: u64) {
        let was_running = std::mem::take(&mut self.is_running);
        self.memory_bytes -= memory_bytes;
        self.door.state().memory_bytes -= memory_bytes;
        if was_running {
            self.door.change(&self.user, |state, user| {
                *state.running.of(self.class) -= 1;
                user.running -= 1;
            });
            metrics::gauge!(PYTHON_RUNNING).decrement(1);
        }
        metrics::gauge!(PYTHON_MEMORY_RESERVED).decrement(memory_bytes as f64);
        self.door.grant();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.give_back(self.memory_bytes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.change(&self.user, |state, user| {
            let queue = user.waiting.of(self.class);
            if let Some(at) = queue.iter().position(|waiting| waiting.ticket == self.ticket) {
                queue.remove(at);
                state.waiting -= 1;
                metrics::gauge!(PYTHON_QUEUED).decrement(1);
            }
        });
        // The one behind may fit where this one did not.
        self.door.grant();
    }
}

fn full(limit: &str) -> Error {
    Error::Unavailable { message: format!("{limit}: try again later"), cause: None }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::error::Code;

    const LIMITS: AdmissionLimits = AdmissionLimits {
        memory_bytes_max: 10,
        cards_max: 3,
        transforms_max: 2,
        waiting_max: 4,
        wait_max: Duration::from_secs(60),
    };

    fn users() -> [UserId; 3] {
        ["user_aaaaaaaaaaaa", "user_bbbbbbbbbbbb", "user_cccccccccccc"].map(|id| UserId::parse(id).unwrap())
    }

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Slot>> + Send + 'a>>;

    /// One that has to wait.
    fn waits<'a>(door: &'a Admission, user: &'a UserId, class: Class, bytes: u64) -> Waiting<'a> {
        let mut waiting: Waiting<'_> = Box::pin(door.enter(user, class, bytes));
        assert!((&mut waiting).now_or_never().is_none(), "{user} did not wait");
        waiting
    }

    fn enters(door: &Admission, user: &UserId, class: Class, bytes: u64) -> Slot {
        door.enter(user, class, bytes).now_or_never().expect("has to wait").unwrap()
    }

    fn taken(waiting: &mut Waiting<'_>) -> Option<Slot> {
        waiting.now_or_never().map(Result::unwrap)
    }

    #[tokio::test]
    async fn all_together_take_no_more_than_there_is() {
        use Class::{Card, Transform};
        let (door, [ana, ben, _]) = (Admission::new(LIMITS), users());
        let mut first = enters(&door, &ana, Transform, 6);
        let mut second = waits(&door, &ben, Transform, 6);
        // There is room for it, and it is another class.
        let card = enters(&door, &ben, Card, 4);
        assert_eq!((door.running(), door.waiting(), door.memory_bytes()), (2, 1, 10));
        drop(card);
        assert!(taken(&mut second).is_none());
        // Dead, and what it left takes less.
        first.keep_only(4);
        let second = taken(&mut second).unwrap();
        assert_eq!((door.running(), door.memory_bytes()), (1, 10));
        drop((first, second));
        assert_eq!((door.running(), door.waiting(), door.memory_bytes()), (0, 0, 0));
        // More than there is becomes all that there is.
        assert_eq!(enters(&door, &ana, Transform, 100).memory_bytes(), 10);
        assert!(door.0.state().users.is_empty());
    }

    #[tokio::test]
    async fn a_number_of_each_class_runs_and_who_has_the_fewest_is_next() {
        use Class::{Card, Transform};
        let (door, [ana, ben, eva]) = (Admission::new(LIMITS), users());
        let first = enters(&door, &ana, Transform, 1);
        let _second = enters(&door, &ana, Transform, 1);
        let mut third = waits(&door, &ana, Transform, 1);
        let mut of_ben = waits(&door, &ben, Transform, 1);
        // The other class has turns of its own.
        let _cards: Vec<_> = (0..3).map(|_| enters(&door, &eva, Card, 1)).collect();
        let _card = waits(&door, &eva, Card, 1);
        // Ben came last, and has none.
        drop(first);
        assert!(taken(&mut third).is_none());
        let of_ben = taken(&mut of_ben).unwrap();
        drop(of_ben);
        assert!(taken(&mut third).is_some());
    }

    #[tokio::test]
    async fn what_is_full_says_so_at_once_and_names_the_limit() {
        use Class::Transform;
        let (door, [ana, ben, eva]) = (Admission::new(LIMITS), users());
        let _running: Vec<_> = (0..2).map(|_| enters(&door, &ana, Transform, 1)).collect();
        let of_ana: Vec<_> = (0..3).map(|_| waits(&door, &ana, Transform, 1)).collect();
        check(&door, &ana, "of your runs of Python");
        let _of_ben = waits(&door, &ben, Transform, 1);
        check(&door, &eva, "(4, `EXECUTOR_WAITING_MAX`)");
        // Who leaves makes room.
        drop(of_ana);
        assert_eq!(door.waiting(), 1);
        drop(waits(&door, &eva, Transform, 1));

        // No queue at all, and a turn that is free.
        let none = Admission::new(AdmissionLimits { waiting_max: 0, ..LIMITS });
        let first = enters(&none, &ana, Transform, 10);
        check(&none, &ben, "too many runs");
        drop(first);
        drop(enters(&none, &ben, Transform, 10));

        #[track_caller]
        fn check(door: &Admission, user: &UserId, expected: &str) {
            let error = door.enter(user, Class::Transform, 1).now_or_never().expect("waits").unwrap_err();
            assert_eq!(error.code(), Code::ServiceUnavailable);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_too_long_names_what_it_was_for() {
        use Class::{Card, Transform};
        let door = Admission::new(AdmissionLimits { wait_max: Duration::from_millis(20), ..LIMITS });
        let [ana, ben, _] = users();
        let running = [enters(&door, &ana, Transform, 1), enters(&door, &ana, Transform, 8)];
        let error = door.enter(&ben, Transform, 1).await.unwrap_err();
        assert!(
            error.to_string().contains("2 transforms run (`EXECUTOR_MAX_CONCURRENT_TRANSFORMS`)"),
            "{error}"
        );
        let error = door.enter(&ben, Card, 2).await.unwrap_err();
        assert!(error.to_string().contains("`EXECUTOR_MEMORY_MB`"), "{error}");
        assert_eq!(error.code(), Code::ServiceUnavailable);
        drop(running);
        assert_eq!((door.running(), door.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn small_ones_overtake_a_large_one_only_so_often() {
        use Class::{Card, Transform};
        let (door, [ana, ben, _]) = (Admission::new(LIMITS), users());
        let mut small = enters(&door, &ana, Card, 5);
        let mut large = waits(&door, &ben, Transform, 10);
        // One card after the other, so that there is never room for all.
        for _ in 0..OVERTAKEN_MAX {
            small = {
                let next = enters(&door, &ana, Card, 5);
                drop(small);
                next
            };
        }
        let mut late = waits(&door, &ana, Card, 5);
        drop(small);
        let large = taken(&mut large).unwrap();
        assert!(taken(&mut late).is_none());
        drop(large);
        assert!(taken(&mut late).is_some());
    }

    /// The turn is granted, and its owner gone before it looked.
    #[tokio::test]
    async fn a_turn_that_nobody_takes_comes_back() {
        let (door, [ana, ben, eva]) = (Admission::new(LIMITS), users());
        let running = enters(&door, &ana, Class::Transform, 10);
        let of_ben = waits(&door, &ben, Class::Transform, 10);
        let mut of_eva = waits(&door, &eva, Class::Transform, 10);
        drop(running);
        drop(of_ben);
        assert!(taken(&mut of_eva).is_some());
        drop(of_eva);
        assert_eq!((door.running(), door.waiting(), door.memory_bytes()), (0, 0, 0));
    }
}

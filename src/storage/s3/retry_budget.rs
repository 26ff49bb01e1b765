//! How much may be asked again: a share of what is asked at all.
//!
//! Why: a server in trouble gets worse when everybody asks it five times. All requests share one account. Each pays a
//! tenth of a retry in, and each retry takes a whole one out, so that in the long run a tenth more is asked and no
//! more, whoever asks. A quiet service has a reserve, so that a short outage is nothing that a caller sees.

use std::sync::atomic::{AtomicI64, Ordering};

/// What a retry costs, in what a request pays.
const RETRY: i64 = 10;
/// Retries in the reserve.
pub(super) const RESERVE: i64 = 100;
/// What has to be left for retries when something is asked twice before it failed: that only saves time.
const LEFT_FOR_RETRIES: i64 = RESERVE / 2 * RETRY;

/// The account.
#[derive(Debug)]
pub(super) struct RetryBudget(AtomicI64);

impl RetryBudget {
    /// With all of the reserve.
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(RESERVE * RETRY))
    }

    /// Pays in for a request that is made for the first time.
    pub(super) fn pay_in(&self) {
        let more = |now: i64| Some((now + 1).min(RESERVE * RETRY));
        // It never fails: there is always a new value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes a retry out; false when there is none.
    pub(super) fn retry(&self) -> bool {
        self.take(0)
    }

    /// Takes out what a request costs that is made beside another one; false when too little would be left.
    pub(super) fn hedge(&self) -> bool {
        self.take(LEFT_FOR_RETRIES)
    }

    fn take(&self, left_at_least: i64) -> bool {
        let less = |now: i64| (now - RETRY >= left_at_least).then_some(now - RETRY);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(budget: &RetryBudget) -> usize {
        std::iter::repeat_with(|| budget.retry()).take_while(|given| *given).count()
    }

    #[test]
    fn a_tenth_of_what_is_asked_may_be_asked_again() {
        let budget = RetryBudget::new();
        assert_eq!(retries(&budget), 100, "the reserve");
        for requests in [9, 1, 1000, 995] {
            (0..requests).for_each(|_| budget.pay_in());
            let given = retries(&budget);
            let expected = match requests {
                9 => 0,
                1 => 1,
                // What was left over counts.
                _ => requests / 10,
            };
            assert_eq!(given, expected, "after {requests}");
        }
        (0..5).for_each(|_| budget.pay_in());
        assert_eq!(retries(&budget), 1, "and the five of the 995");
    }

    #[test]
    fn the_reserve_does_not_grow_beyond_its_size() {
        let budget = RetryBudget::new();
        (0..100_000).for_each(|_| budget.pay_in());
        assert_eq!(retries(&budget), 100);
    }

    #[test]
    fn what_only_saves_time_leaves_half_for_failures() {
        let budget = RetryBudget::new();
        let hedges = std::iter::repeat_with(|| budget.hedge()).take_while(|given| *given).count();
        assert_eq!((hedges, retries(&budget)), (50, 50));
    }
}

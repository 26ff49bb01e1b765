//! A growing delay after failed sign-ins, per account, whether or not there is such an account.
//!
//! Never a lock-out, or anybody could lock out anybody: after a few free tries the wait doubles up to a
//! minute, and one good sign-in, or a quiet quarter of an hour, forgets it all. Guesses already on their
//! way when the wait begins are as few as may wait for a hash.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::limits::SIGN_IN_FAILURES_TRACKED_MAX;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
const WAIT_S_MAX: i64 = 60;
const FORGET_AFTER_S: i64 = 15 * 60;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Failed sign-ins by normalised address. In memory: a restart forgives.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    accounts: Mutex<HashMap<String, Failures>>,
}

impl Backoff {
    /// Seconds until the account may be tried again; `None` when it may be now.
    pub(super) fn wait_s(&self, account: &str, now: Timestamp) -> Option<u64> {
        let failures = *self.accounts().get(account)?;
        let left = failures.last.seconds() + delay_s(failures.count) - now.seconds();
        u64::try_from(left).ok().filter(|left| *left > 0)
    }

    /// Notes a failure.
    pub(super) fn failed(&self, account: &str, now: Timestamp) {
        let mut accounts = self.accounts();
        if !accounts.contains_key(account) && accounts.len() >= SIGN_IN_FAILURES_TRACKED_MAX {
            make_room(&mut accounts, now);
        }
        let failures = accounts.entry(account.to_owned()).or_insert(Failures { count: 0, last: now });
        let count = if is_stale(failures, now) { 0 } else { failures.count };
        *failures = Failures { count: count.saturating_add(1), last: now };
    }

    /// Forgets the failures of an account.
    pub(super) fn succeeded(&self, account: &str) {
        self.accounts().remove(account);
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Failures>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delay_s(count: u32) -> i64 {
    match count.checked_sub(FREE) {
        None => 0,
        Some(over) => 2_i64.saturating_pow(over).min(WAIT_S_MAX),
    }
}

fn is_stale(failures: &Failures, now: Timestamp) -> bool {
    now.seconds() - failures.last.seconds() >= FORGET_AFTER_S
}

/// Drops what is stale or, if nothing is, the account that has been quiet longest.
fn make_room(accounts: &mut HashMap<String, Failures>, now: Timestamp) {
    let before = accounts.len();
    accounts.retain(|_, failures| !is_stale(failures, now));
    if accounts.len() < before {
        return;
    }
    let quietest = accounts.iter().min_by_key(|(_, failures)| failures.last).map(|(name, _)| name.clone());
    if let Some(quietest) = quietest {
        accounts.remove(&quietest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000 + seconds)
    }

    #[test]
    fn the_wait_grows_to_a_minute_and_is_forgotten() {
        let backoff = Backoff::default();
        let waits: Vec<u64> = (0..100)
            .map(|_| {
                backoff.failed("ana", at(0));
                backoff.wait_s("ana", at(0)).unwrap_or(0)
            })
            .collect();
        assert_eq!(waits[..12], [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(waits[12..].iter().all(|wait| *wait == 60));
        assert_eq!(backoff.wait_s("ana", at(59)), Some(1));
        assert_eq!(backoff.wait_s("ana", at(60)), None);
        assert_eq!(backoff.wait_s("bo", at(0)), None);

        backoff.failed("ana", at(15 * 60));
        assert_eq!(backoff.wait_s("ana", at(15 * 60)), None, "a quiet quarter of an hour forgives");
    }

    #[test]
    fn a_success_forgives() {
        let backoff = Backoff::default();
        (0..9).for_each(|_| backoff.failed("ana", at(0)));
        backoff.succeeded("ana");
        assert_eq!(backoff.wait_s("ana", at(0)), None);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_latest() {
        let backoff = Backoff::default();
        let n_accounts = SIGN_IN_FAILURES_TRACKED_MAX + 10;
        (0..n_accounts).for_each(|n| backoff.failed(&n.to_string(), at(n as i64 / 100)));
        let accounts = backoff.accounts();
        assert_eq!(accounts.len(), SIGN_IN_FAILURES_TRACKED_MAX);
        assert!(accounts.contains_key(&(n_accounts - 1).to_string()));
    }
}

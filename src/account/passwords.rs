//! Hashing as a service: few hashes at a time, a short queue, and the same work for every attempt.
//!
//! A hash takes tens of milliseconds and tens of megabytes, so a flood of sign-ins would be a bomb. Who
//! finds the queue full is told to come back. The permit lives in the hashing itself, not in the
//! request: callers that hang up cannot start more hashes than there are permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::password::{self, Cost, Policy, Verified};
use crate::error::Error;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_HASHES_MAX, PASSWORD_HASHES_WAITING_MAX};
use crate::tasks;

/// Hashes and verifies passwords.
#[derive(Debug)]
pub struct Passwords {
    policy: Policy,
    cost: Cost,
    /// Those who hash or wait.
    places: Arc<Semaphore>,
    /// Those who hash.
    turns: Arc<Semaphore>,
    verifications: AtomicU64,
}

/// The right to hash, held until the hash is done.
struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Passwords {
    #[must_use]
    pub fn new(policy: Policy, cost: Cost) -> Self {
        Self {
            policy,
            cost,
            places: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX + PASSWORD_HASHES_WAITING_MAX)),
            turns: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX)),
            verifications: AtomicU64::new(0),
        }
    }

    /// Checks a new password against the policy and hashes it.
    ///
    /// # Errors
    /// `Invalid` when the policy refuses it, `Unavailable` when too many wait.
    pub async fn hash_new(&self, password: &str) -> Result<String, Error> {
        self.policy.check(password)?;
        self.hash(password).await
    }

    /// Hashes a password that was accepted before, by the policy of its time.
    pub(super) async fn hash(&self, password: &str) -> Result<String, Error> {
        let (password, cost, turn) = (SecretString::from(password), self.cost, self.turn().await?);
        tasks::blocking(move || {
            let _turn = turn;
            password::hash(password.expose_secret(), cost)
        })
        .await
    }

    /// Compares a password with a stored hash; without one, does the same work in vain.
    ///
    /// # Errors
    /// `Unavailable` when too many wait, `Internal` when the stored hash is unreadable.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<Verified, Error> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(Verified { good: false, outdated: false });
        }
        let turn = self.turn().await?;
        self.verifications.fetch_add(1, Ordering::Relaxed);
        let has_user = stored.is_some();
        let stored = stored.map_or_else(|| password::unmatchable(self.cost), str::to_owned);
        let (password, cost) = (SecretString::from(password), self.cost);
        let verified = tasks::blocking(move || {
            let _turn = turn;
            password::verify(password.expose_secret(), &stored, cost)
        });
        let verified = verified.await?;
        Ok(Verified { good: verified.good && has_user, ..verified })
    }

    /// How many verifications were begun.
    #[must_use]
    pub fn verification_count(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    async fn turn(&self) -> Result<Turn, Error> {
        let full = |_| Error::Unavailable {
            message: "too many people are signing in: try again in a few seconds".to_owned(),
            cause: None,
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn { _place: place, _turn: turn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_so() {
        let passwords = Passwords::new(Policy::default(), Cost::FLOOR);
        let everyone = PASSWORD_HASHES_MAX + PASSWORD_HASHES_WAITING_MAX;
        let attempts = (0..everyone + 5).map(|_| passwords.verify("Tsukiji8", None));
        let outcomes = futures::future::join_all(attempts).await;
        let refused = outcomes.iter().filter(|o| matches!(o, Err(Error::Unavailable { .. }))).count();
        assert_eq!(refused, 5);
        assert_eq!(outcomes.iter().filter(|o| matches!(o, Ok(v) if !v.good)).count(), everyone);
        passwords.verify("Tsukiji8", None).await.unwrap();
    }

    /// A caller that goes away while its hash runs must not make room for another hash.
    #[tokio::test]
    async fn the_turn_lasts_as_long_as_the_hash() {
        let passwords = Passwords::new(Policy::default(), Cost::FLOOR);
        let mut attempt = Box::pin(passwords.verify("Tsukiji8", None));
        assert!(futures::poll!(&mut attempt).is_pending(), "the hash is under way");
        drop(attempt);
        assert_eq!(passwords.turns.available_permits(), PASSWORD_HASHES_MAX - 1);
        let all = u32::try_from(PASSWORD_HASHES_MAX).unwrap();
        drop(passwords.turns.acquire_many(all).await.unwrap());
    }
}

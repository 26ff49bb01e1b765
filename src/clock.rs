//! Time. Logic takes a [`Timestamp`] as an argument; only [`SystemClock`] reads the real clock.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as tokens and DynamoDB items carry them.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `seconds` more.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds * 1_000_000)
    }

    /// `2026-11-21T09:30:00.123456Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_micros(self.0)
            .map_or_else(|| self.0.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }

    /// As chrono's type, for libraries that want it; `None` outside its range.
    #[must_use]
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Where the present moment comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }
}

/// How long something takes, and waiting, by a clock that nobody sets: what an operator or another machine does to the
/// [`Clock`] changes neither.
#[async_trait]
pub trait Timer: fmt::Debug + Send + Sync {
    /// The time since some moment in the past, always the same one.
    fn uptime(&self) -> Duration;

    /// Returns once the uptime is at least this.
    async fn wait_until(&self, uptime: Duration);
}

/// The machine's timer.
#[derive(Debug, Clone, Copy)]
pub struct SystemTimer {
    started: Instant,
}

impl SystemTimer {
    /// One whose uptime begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

#[async_trait]
impl Timer for SystemTimer {
    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    async fn wait_until(&self, uptime: Duration) {
        tokio::time::sleep_until((self.started + uptime).into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_rounds() {
        let time = Timestamp::from_micros(1_700_000_000_123_456);
        assert_eq!(time.rfc3339(), "2023-11-14T22:13:20.123456Z");
        assert_eq!(time.seconds(), 1_700_000_000);
        assert_eq!(Timestamp::from_micros(-1).seconds(), -1);
        assert_eq!(time.plus_seconds(60).seconds(), 1_700_000_060);
    }
}

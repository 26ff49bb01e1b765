//! How long things take. Apart, so that a test can have its own.

use std::time::Duration;

use crate::limits::{DUE_GRACE, EXECUTION_LEASE, EXECUTION_LEASE_RENEWAL, EXECUTION_SWEEP_INTERVAL};

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two looks at what is due.
    pub interval: Duration,
    /// Between two looks at what nobody answers for.
    pub sweep: Duration,
    /// How long a process answers for an execution without saying so again.
    pub lease: Duration,
    /// Between two times that it says so again.
    pub renewal: Duration,
    /// How late a due time may be and still be on time.
    pub grace: Duration,
}

impl Timing {
    /// That of a scheduler which looks this often.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self {
            interval,
            sweep: EXECUTION_SWEEP_INTERVAL,
            lease: EXECUTION_LEASE,
            renewal: EXECUTION_LEASE_RENEWAL,
            // One look may fail, and the next must not find everything missed.
            grace: DUE_GRACE.max(interval * 3),
        }
    }

    /// How long an execution has to be as it was before another process takes it: a little longer than its holder
    /// believes in it, because no two timers run alike.
    pub(super) fn patience(&self) -> Duration {
        self.lease + self.lease / 30
    }
}

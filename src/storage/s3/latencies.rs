//! How long answers let wait lately, to tell one that is late.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Answers that are looked back at.
const RECENT: usize = 128;
/// With fewer, nobody can say what is late.
const KNOWN_MIN: usize = 32;
/// An answer within this is never late: to ask again would take as long.
const LATE_MIN: Duration = Duration::from_millis(10);

/// The last waits.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    waits: Vec<Duration>,
    /// The oldest one, once there are as many as are kept.
    oldest: usize,
}

impl Latencies {
    /// Remembers how long an answer let wait.
    pub(super) fn record(&self, wait: Duration) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.waits.len() < RECENT {
            recent.waits.push(wait);
            return;
        }
        let oldest = recent.oldest;
        recent.waits[oldest] = wait;
        recent.oldest = (oldest + 1) % RECENT;
    }

    /// The wait that 95 of 100 answers were within; `None` while too few are known.
    pub(super) fn late_after(&self) -> Option<Duration> {
        let mut waits = {
            let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (recent.waits.len() >= KNOWN_MIN).then(|| recent.waits.clone())?
        };
        let place = (waits.len() * 95).div_ceil(100) - 1;
        let (_, late, _) = waits.select_nth_unstable(place);
        Some((*late).max(LATE_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn late_is_what_one_in_twenty_is() {
        let latencies = Latencies::default();
        (1..32).for_each(|wait| latencies.record(ms(wait)));
        assert_eq!(latencies.late_after(), None, "31 are too few");
        (32..=100).for_each(|wait| latencies.record(ms(wait)));
        assert_eq!(latencies.late_after(), Some(ms(95)));
    }

    #[test]
    fn only_recent_answers_count_and_none_is_late_at_once() {
        let latencies = Latencies::default();
        (0..128).for_each(|_| latencies.record(ms(500)));
        assert_eq!(latencies.late_after(), Some(ms(500)));
        (0..128).for_each(|_| latencies.record(ms(1)));
        assert_eq!(latencies.late_after(), Some(ms(10)));
        (0..7).for_each(|_| latencies.record(ms(70)));
        assert_eq!(latencies.late_after(), Some(ms(70)), "seven of 128 are more than one in twenty");
    }
}

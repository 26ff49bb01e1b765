//! Which due times are to be started now. Pure: the clock, and what was started before, are arguments.

use crate::catalog::transform::{Missed, Schedule};
use crate::clock::Timestamp;
use crate::limits::DUE_TIMES_PER_TICK_MAX;

use super::cron::Cron;

/// The due times that are to be started, the oldest first. `last` is the latest one that was started, `grace_s` how late
/// one may be and still count as on time.
///
/// What was started is never due again, and what lies before it neither: a clock that goes back an hour and comes
/// again to where it was starts nothing twice.
pub(super) fn due(
    cron: &Cron,
    schedule: &Schedule,
    last: Option<Timestamp>,
    now: Timestamp,
    grace_s: i64,
) -> Vec<Timestamp> {
    let after = after(schedule, last);
    let on_time = Timestamp::from_micros(now.plus_seconds(-grace_s).micros() - 1);
    match schedule.missed {
        Missed::All => cron.due(after, now, DUE_TIMES_PER_TICK_MAX),
        Missed::Skip => cron.due(after.max(on_time), now, DUE_TIMES_PER_TICK_MAX),
        // However many were missed, catching up is one run. It is that of the latest due time, which may itself be on
        // time: a run for an older one would be of no use a moment before it.
        Missed::One if cron.next(after).is_some_and(|first| first <= on_time) => {
            cron.latest(after, now).into_iter().collect()
        }
        Missed::One => cron.due(after, now, DUE_TIMES_PER_TICK_MAX),
    }
}

/// What is due comes after this: after the latest due time that was started, and not before the schedule was. That very
/// moment may be due.
pub(super) fn after(schedule: &Schedule, last: Option<Timestamp>) -> Timestamp {
    let since = Timestamp::from_micros(schedule.since.micros() - 1);
    last.map_or(since, |last| last.max(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute of the day.
    fn at(hour: i64, minute: i64) -> Timestamp {
        Timestamp::from_seconds(1_700_006_400 + hour * 3600 + minute * 60)
    }

    const GRACE_S: i64 = 300;

    fn due_at(
        cron: &str,
        missed: Missed,
        since: Timestamp,
        last: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Timestamp> {
        let schedule = Schedule { missed, cron: Some(cron.to_owned()), ..Schedule::none(since) };
        due(&Cron::parse(cron, "UTC").unwrap(), &schedule, last, now, GRACE_S)
    }

    #[test]
    fn what_was_missed_goes_by_the_policy() {
        let hourly = "0 * * * *";
        for missed in [Missed::Skip, Missed::One, Missed::All] {
            // On time, to the second and at the end of grace.
            check(hourly, missed, Some(at(9, 0)), at(10, 0), &[at(10, 0)]);
            check(hourly, missed, Some(at(9, 0)), at(10, 5), &[at(10, 0)]);
            check(hourly, missed, Some(at(9, 0)), at(9, 59), &[]);
            check(hourly, missed, Some(at(10, 0)), at(10, 0), &[]);
        }
        let after_three_hours = at(12, 6);
        check(hourly, Missed::Skip, Some(at(9, 0)), after_three_hours, &[]);
        check(hourly, Missed::One, Some(at(9, 0)), after_three_hours, &[at(12, 0)]);
        check(hourly, Missed::All, Some(at(9, 0)), after_three_hours, &[at(10, 0), at(11, 0), at(12, 0)]);
        // The last one is still on time: it is run by all, and for `One` is the one.
        check(hourly, Missed::Skip, Some(at(9, 0)), at(12, 4), &[at(12, 0)]);
        check(hourly, Missed::One, Some(at(9, 0)), at(12, 4), &[at(12, 0)]);

        // Several on time are no reason to leave one out.
        let minutes = "* * * * *";
        let both = [at(10, 1), at(10, 2)];
        for missed in [Missed::Skip, Missed::One, Missed::All] {
            check(minutes, missed, Some(at(10, 0)), at(10, 2), &both);
        }
        check(minutes, Missed::One, Some(at(8, 0)), at(10, 2), &[at(10, 2)]);
        let on_time: Vec<_> = (5..=10).map(|minute| at(10, minute)).collect();
        check(minutes, Missed::Skip, Some(at(8, 0)), at(10, 10), &on_time);

        #[track_caller]
        fn check(
            cron: &str,
            missed: Missed,
            last: Option<Timestamp>,
            now: Timestamp,
            expected: &[Timestamp],
        ) {
            assert_eq!(due_at(cron, missed, at(0, 30), last, now), expected, "{missed:?}");
        }
    }

    #[test]
    fn nothing_is_due_before_the_schedule_was() {
        for missed in [Missed::Skip, Missed::One, Missed::All] {
            // Never started, or started under an earlier schedule.
            for last in [None, Some(at(3, 0))] {
                let due = |now| due_at("0 * * * *", missed, at(9, 58), last, now);
                assert_eq!(due(at(9, 59)), []);
                assert_eq!(due(at(10, 1)), [at(10, 0)]);
                // The very moment counts.
                assert_eq!(due_at("0 * * * *", missed, at(10, 0), last, at(10, 1)), [at(10, 0)]);
                let late = Timestamp::from_micros(at(10, 0).micros() + 1);
                assert_eq!(due_at("0 * * * *", missed, late, last, at(10, 1)), []);
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_due_twice() {
        for missed in [Missed::Skip, Missed::One, Missed::All] {
            let due = |last, now| due_at("*/20 * * * *", missed, at(0, 0), Some(last), now);
            // An hour back: all of it was due before.
            for minute in 0..60 {
                assert_eq!(due(at(10, 40), at(9, 41).plus_seconds(minute * 60)), []);
            }
            assert_eq!(due(at(10, 40), at(11, 0)), [at(11, 0)]);
            // An hour forth: what it passed over is missed, as if nobody had been there.
            let passed = due(at(10, 40), at(11, 46));
            match missed {
                Missed::Skip => assert_eq!(passed, []),
                Missed::One => assert_eq!(passed, [at(11, 40)]),
                Missed::All => assert_eq!(passed, [at(11, 0), at(11, 20), at(11, 40)]),
            }
        }
    }

    #[test]
    fn a_tick_has_a_bound() {
        let (last, now) = (at(0, 0), at(100, 0));
        let all = due_at("* * * * *", Missed::All, at(0, 0), Some(last), now);
        assert_eq!((all.len(), all[0]), (DUE_TIMES_PER_TICK_MAX, at(0, 1)));
        assert_eq!(due_at("* * * * *", Missed::One, at(0, 0), Some(last), now), [now]);
    }
}

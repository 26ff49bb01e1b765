//! When a schedule is due: five fields of cron, read in a time zone.
//!
//! Fields are compared with what a clock on the wall shows. Where such a clock is put forward or back, three rules
//! say what is due:
//!
//! - A time that the clock leaves out is due at the first moment after the gap.
//! - A time that it shows twice is due the first time only,
//! - but for a schedule of every hour (`*/10 * * * *`), which is due as if nothing had happened: its author means
//!   that it runs again and again, and not at a time of day.

use chrono::{LocalResult, NaiveDateTime, TimeZone as _};
use chrono_tz::{GapInfo, Tz};
use croner::parser::{CronParser, Seconds, Year};

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The name of the field of the contract that holds the text.
const FIELD: &str = "schedule_cron";

/// Longest text, in bytes.
const BYTES_MAX: usize = 256;

/// What one of the five fields may hold.
#[derive(Debug)]
struct Field {
    name: &'static str,
    expected: &'static str,
    /// Words that stand for numbers.
    words: &'static [&'static str],
    /// Letters that may stand beside a number or alone.
    letters: &'static [&'static str],
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", expected: "0 to 59", words: &[], letters: &[] },
    Field { name: "hour", expected: "0 to 23", words: &[], letters: &[] },
    Field {
        name: "day of the month",
        expected: "1 to 31, `L` for the last day, or `15W` for the working day nearest to the 15th",
        words: &[],
        letters: &["L", "W", "LW"],
    },
    Field { name: "month", expected: "1 to 12, or `JAN` to `DEC`", words: MONTHS, letters: &[] },
    Field {
        name: "day of the week",
        expected: "0 to 7 or `SUN` to `SAT`, `FRI#2` for the second Friday, or `FRI#L` for the last one",
        words: WEEKDAYS,
        letters: &["L"],
    },
];

/// A schedule that can be asked for its due times.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: Tz,
    /// Whether it names no hour, and so means any.
    every_hour: bool,
}

impl Cron {
    /// Reads five fields (or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`), and the name of a time zone in
    /// the database of IANA.
    ///
    /// # Errors
    /// `Invalid`, with the field that is wrong and what was expected in it; also when no date ever fits.
    pub fn parse(text: &str, time_zone: &str) -> Result<Self> {
        let zone: Tz = time_zone.parse().map_err(|_| {
            let message =
                format!("`{time_zone}` is no time zone: expected a name such as `Asia/Tokyo` or `UTC`");
            Error::invalid_field("schedule_time_zone", message)
        })?;
        if text.len() > BYTES_MAX {
            return Err(Error::invalid_field(
                FIELD,
                format!("expected at most {BYTES_MAX} bytes, got {}", text.len()),
            ));
        }
        let text = text.trim();
        if !is_nickname(text) {
            check(text)?;
        }
        let pattern = read(text).ok_or_else(|| {
            let message =
                format!("`{text}` is no schedule: expected five fields, such as `30 6 * * MON-FRI`");
            Error::invalid_field(FIELD, message)
        })?;
        let every_hour = pattern.pattern.hours.values().len() == 24;
        let cron = Self { pattern, zone, every_hour };
        if cron.first_date().is_none() {
            let message = format!("`{text}` is never due: no date is in that month and on that day");
            return Err(Error::invalid_field(FIELD, message));
        }
        Ok(cron)
    }

    /// The first due time after `after`.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let shown = after.to_utc()?.with_timezone(&self.zone).naive_local();
        // Where the clock shows the same time twice, what it shows is not where the search begins: in the first round,
        // all of the second is still to come.
        let mut from = match self.zone.from_local_datetime(&shown) {
            LocalResult::Ambiguous(first, second) if self.every_hour => shown - (second - first),
            _ => shown,
        };
        let mut is_first = true;
        let mut nearest: Option<Timestamp> = None;
        while let Ok(civil) = self.pattern.find_next_occurrence(&from, is_first) {
            (from, is_first) = (civil, false);
            let (first, second) = self.moments(civil)?;
            for moment in [Some(first), second].into_iter().flatten().filter(|moment| *moment > after) {
                nearest = Some(nearest.map_or(moment, |nearest| nearest.min(moment)));
            }
            // What the clock shows later is not due before.
            if nearest.is_some_and(|nearest| nearest <= first) {
                break;
            }
        }
        nearest
    }

    /// The first `count` due times after `after`, for people to see.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next(after), |last| self.next(*last)).take(count).collect()
    }

    /// The due times after `after`, up to `until` and with it, the first `most` of them.
    #[must_use]
    pub fn due(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let all = std::iter::successors(self.next(after), |last| self.next(*last));
        all.take_while(|due| *due <= until).take(most).collect()
    }

    /// The last due time after `after`, up to `until` and with it. There may be any number of them, so it is looked
    /// for by halves.
    #[must_use]
    pub fn latest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let next = |after| self.next(after).filter(|due| *due <= until);
        let mut latest = next(after)?;
        // No due time lies between `beyond` and `until`.
        let mut beyond = until;
        while let Some(later) = next(latest) {
            let middle = latest.micros() + (beyond.micros() - latest.micros()) / 2;
            match next(Timestamp::from_micros(middle)) {
                Some(due) => latest = due,
                None => {
                    beyond = Timestamp::from_micros(middle);
                    latest = later;
                }
            }
        }
        Some(latest)
    }

    /// When the clock shows this time: the first time, and the second if that counts.
    fn moments(&self, civil: NaiveDateTime) -> Option<(Timestamp, Option<Timestamp>)> {
        let timestamp = |moment: chrono::DateTime<Tz>| Timestamp::from_micros(moment.timestamp_micros());
        match self.zone.from_local_datetime(&civil) {
            LocalResult::Single(moment) => Some((timestamp(moment), None)),
            LocalResult::Ambiguous(first, second) => {
                Some((timestamp(first), self.every_hour.then(|| timestamp(second))))
            }
            LocalResult::None => Some((timestamp(GapInfo::new(&civil, &self.zone)?.end?), None)),
        }
    }

    /// Any date that fits.
    fn first_date(&self) -> Option<NaiveDateTime> {
        self.pattern.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH.naive_utc(), true).ok()
    }
}

/// The library also reads seconds and years, which a schedule of five fields has not.
fn read(text: &str) -> Option<croner::Cron> {
    let parser =
        CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).sloppy_ranges(true);
    parser.build().parse(text).ok()
}

fn is_nickname(text: &str) -> bool {
    let known = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];
    known.iter().any(|name| text.eq_ignore_ascii_case(name))
}

/// Finds the part that is wrong. The library says neither which one it is, nor does it refuse names in a field that has
/// none and parts that are empty.
fn check(text: &str) -> Result<()> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        let message = format!(
            "expected five fields (minute, hour, day of the month, month, day of the week), got {} in `{text}`",
            parts.len()
        );
        return Err(Error::invalid_field(FIELD, message));
    }
    for (place, (part, field)) in parts.iter().zip(&FIELDS).enumerate() {
        let elements: Vec<&str> = part.split(',').collect();
        let is_alone = elements.len() == 1;
        for element in elements {
            if is_fine(place, element, field) && (is_alone || !matches!(element, "*" | "?")) {
                continue;
            }
            let within = if is_alone { String::new() } else { format!(" in `{part}`") };
            let message = format!(
                "field {} of `{text}`, the {}, has `{element}`{within}: expected {}; also lists (`1,2`), ranges (`1-5`), \
                 steps (`*/5`) or, alone, `*`",
                place + 1,
                field.name,
                field.expected
            );
            return Err(Error::invalid_field(FIELD, message));
        }
    }
    Ok(())
}

/// Whether one part of a list may stand in a field.
fn is_fine(place: usize, element: &str, field: &Field) -> bool {
    let upper = element.to_ascii_uppercase();
    let is_word = |run: &str| field.words.contains(&run) || field.letters.contains(&run);
    let letters_fine =
        upper.split(|c: char| !c.is_ascii_alphabetic()).filter(|run| !run.is_empty()).all(is_word);
    // The library reads `3MON` as 31.
    let words = upper.split(|c: char| !c.is_ascii_alphanumeric());
    let apart = words.filter(|word| word.len() > 1 && word.starts_with(|c: char| c.is_ascii_digit()));
    let mut numbers = apart.map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()));
    let apart_fine = numbers.all(|rest| rest.is_empty() || field.letters.contains(&rest));
    // A step needs something that it is a step of.
    if element.is_empty() || element.starts_with('/') || !letters_fine || !apart_fine {
        return false;
    }
    let mut alone = ["*"; FIELDS.len()];
    alone[place] = element;
    read(&alone.join(" ")).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str, zone: &str) -> Cron {
        Cron::parse(text, zone).unwrap_or_else(|error| panic!("`{text}`: {error}"))
    }

    fn at(text: &str) -> Timestamp {
        let moment = chrono::DateTime::parse_from_rfc3339(text).unwrap();
        Timestamp::from_micros(moment.timestamp_micros())
    }

    /// What is due after a moment, as UTC and without what is always zero.
    fn upcoming(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let due = cron(text, zone).upcoming(at(after), count);
        due.iter().map(|due| due.rfc3339().replace(":00.000000Z", "Z")).collect()
    }

    #[test]
    fn fields_say_when() {
        check("*/15 * * * *", "2026-01-01T00:07:30Z", &["2026-01-01T00:15Z", "2026-01-01T00:30Z"]);
        check("30 6 * * MON-FRI", "2026-01-02T06:30:00Z", &["2026-01-05T06:30Z", "2026-01-06T06:30Z"]);
        check("30 6 * * mon-fri", "2026-01-02T06:29:59.999999Z", &["2026-01-02T06:30Z"]);
        check("0 0 1 JAN,jul *", "2026-01-01T00:00:00Z", &["2026-07-01T00:00Z", "2027-01-01T00:00Z"]);
        check("5,10-12 0 * * *", "2026-01-01T00:05:00Z", &["2026-01-01T00:10Z", "2026-01-01T00:11Z"]);
        check("0 8-18/5 * * *", "2026-01-01T00:00:00Z", &["2026-01-01T08:00Z", "2026-01-01T13:00Z"]);
        check("10/20 0 * * *", "2026-01-01T00:00:00Z", &["2026-01-01T00:10Z", "2026-01-01T00:30Z"]);
        // Sunday has two numbers. Two fields that name days mean any of these days, as ever with cron.
        check("0 0 * * 7", "2026-01-01T00:00:00Z", &["2026-01-04T00:00Z", "2026-01-11T00:00Z"]);
        check("0 0 15 * 0", "2026-01-08T00:00:00Z", &["2026-01-11T00:00Z", "2026-01-15T00:00Z"]);
        check("0 0 L * *", "2026-01-31T00:00:00Z", &["2026-02-28T00:00Z", "2026-03-31T00:00Z"]);
        check("0 0 LW * ?", "2026-01-01T00:00:00Z", &["2026-01-30T00:00Z", "2026-02-27T00:00Z"]);
        check("0 0 15W * *", "2026-02-01T00:00:00Z", &["2026-02-16T00:00Z", "2026-03-16T00:00Z"]);
        check("0 0 * * FRI#2", "2026-01-01T00:00:00Z", &["2026-01-09T00:00Z", "2026-02-13T00:00Z"]);
        check("0 0 * * 5L", "2026-01-01T00:00:00Z", &["2026-01-30T00:00Z", "2026-02-27T00:00Z"]);
        check("@daily", "2026-01-01T00:00:00Z", &["2026-01-02T00:00Z", "2026-01-03T00:00Z"]);
        check("  @Hourly ", "2026-01-01T00:00:00Z", &["2026-01-01T01:00Z"]);
        // Leap years: 2100 is none.
        check("0 0 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29T00:00Z", "2032-02-29T00:00Z"]);
        check("0 0 29 2 *", "2096-03-01T00:00:00Z", &["2104-02-29T00:00Z"]);
        check("0 0 L 2 *", "2099-03-01T00:00:00Z", &["2100-02-28T00:00Z"]);

        #[track_caller]
        fn check(text: &str, after: &str, expected: &[&str]) {
            assert_eq!(upcoming(text, "UTC", after, expected.len()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        check("61 * * * *", "field 1 of `61 * * * *`, the minute, has `61`: expected 0 to 59");
        check("0 24 * * *", "field 2 of `0 24 * * *`, the hour, has `24`: expected 0 to 23");
        check("0 1,25,3 * * *", "the hour, has `25` in `1,25,3`");
        check("0 0 0 * *", "field 3 of `0 0 0 * *`, the day of the month, has `0`: expected 1 to 31");
        check("0 0 * 13 *", "field 4 of `0 0 * 13 *`, the month, has `13`");
        check("0 0 * FEBRUARY *", "the month, has `FEBRUARY`");
        check("0 0 * * 8", "field 5 of `0 0 * * 8`, the day of the week, has `8`");
        check("0 0 * * MONDAY", "the day of the week, has `MONDAY`");
        check("0 0 * * FRI#6", "the day of the week, has `FRI#6`");
        check("0 0 * * SAT-MON", "the day of the week, has `SAT-MON`");
        check("SUN 0 * * *", "the minute, has `SUN`");
        check("0 JAN * * *", "the hour, has `JAN`");
        check("3MON 0 * * *", "the minute, has `3MON`");
        check("0 0 * * 3MON", "the day of the week, has `3MON`");
        check("1,,2 0 * * *", "the minute, has `` in `1,,2`");
        check(", 0 * * *", "the minute, has `` in `,`");
        check("*,5 0 * * *", "the minute, has `*` in `*,5`");
        check("*/0 0 * * *", "the minute, has `*/0`");
        check("/5 0 * * *", "the minute, has `/5`");
        check("5- 0 * * *", "the minute, has `5-`");
        check("20-10 0 * * *", "the minute, has `20-10`");
        check("-5 0 * * *", "the minute, has `-5`");
        check("L 0 * * *", "the minute, has `L`");
        check("0 0 32W * *", "the day of the month, has `32W`");
        check("0 0 * * １", "the day of the week, has `１`");
        check(
            "0 0 * *",
            "expected five fields (minute, hour, day of the month, month, day of the week), got 4",
        );
        check("0 0 0 * * *", "got 6 in");
        check("", "got 0 in");
        check("@reboot", "got 1 in");
        check("every morning", "got 2 in");
        check(&"1,".repeat(200), "expected at most 256 bytes, got 400");
        // No date is in that month and on that day.
        check("0 0 31 2 *", "`0 0 31 2 *` is never due");
        check("0 0 30 FEB *", "`0 0 30 FEB *` is never due");
        check("0 0 31 4,6,9,11 *", "is never due");
        check("0 0 31 * +MON#1", "`0 0 31 * +MON#1` is never due");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = Cron::parse(text, "UTC").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.details()["field"], "schedule_cron");
        }
    }

    #[test]
    fn a_zone_is_a_name() {
        for name in ["", "Mars/Olympus", "asia/tokyo", "+09:00", "JST-9"] {
            let error = Cron::parse("0 0 * * *", name).unwrap_err();
            assert!(error.to_string().contains("expected a name such as `Asia/Tokyo`"), "{error}");
            assert_eq!(error.details()["field"], "schedule_time_zone");
        }
        let tokyo = upcoming("0 9 * * *", "Asia/Tokyo", "2026-07-01T00:00:00Z", 2);
        assert_eq!(tokyo, ["2026-07-02T00:00Z", "2026-07-03T00:00Z"]);
    }

    /// Berlin, 2026-03-29: after 01:59 (00:59 UTC) comes 03:00. New York, 2026-03-08: after 01:59 (06:59 UTC) comes 03:00.
    #[test]
    fn a_time_that_is_left_out_is_due_after_the_gap() {
        let berlin = "Europe/Berlin";
        check("30 2 * * *", berlin, "2026-03-28T00:00:00Z", &["28T01:30Z", "29T01:00Z", "30T00:30Z"]);
        // From within the hour before, from the gap's end, and just before it.
        check("30 2 * * *", berlin, "2026-03-29T00:45:00Z", &["29T01:00Z", "30T00:30Z"]);
        check("30 2 * * *", berlin, "2026-03-29T00:59:59.999999Z", &["29T01:00Z", "30T00:30Z"]);
        check("30 2 * * *", berlin, "2026-03-29T01:00:00Z", &["30T00:30Z"]);
        // Several at once are one, and one with what is due then anyway.
        check("0,30 2 * * *", berlin, "2026-03-28T12:00:00Z", &["29T01:00Z", "30T00:00Z"]);
        check("0 2,3 * * *", berlin, "2026-03-28T12:00:00Z", &["29T01:00Z", "30T00:00Z"]);
        check("*/20 * * * *", berlin, "2026-03-29T00:30:00Z", &["29T00:40Z", "29T01:00Z", "29T01:20Z"]);
        check("15 * * * *", berlin, "2026-03-29T00:00:00Z", &["29T00:15Z", "29T01:00Z", "29T01:15Z"]);
        // What names no hour of the gap does not see it.
        check("0 1 * * *", berlin, "2026-03-28T12:00:00Z", &["29T00:00Z", "29T23:00Z"]);
        let new_york = "America/New_York";
        check("30 2 * * *", new_york, "2026-03-07T12:00:00Z", &["08T07:00Z", "09T06:30Z"]);
        check("0 3 * * *", new_york, "2026-03-07T12:00:00Z", &["08T07:00Z", "09T07:00Z"]);
        // A whole day: Samoa had no 30 December 2011.
        check("0 12 30 * *", "Pacific/Apia", "2011-12-01T00:00:00Z", &["30T10:00Z"]);
    }

    /// Berlin, 2026-10-25: after 02:59 (00:59 UTC) comes 02:00 again. New York, 2026-11-01: after 01:59 (05:59 UTC).
    #[test]
    fn a_time_that_is_shown_twice_is_due_once() {
        let berlin = "Europe/Berlin";
        check("30 2 * * *", berlin, "2026-10-24T12:00:00Z", &["25T00:30Z", "26T01:30Z"]);
        check("30 2 * * *", berlin, "2026-10-25T00:30:00Z", &["26T01:30Z"]);
        check("30 2 * * *", berlin, "2026-10-25T01:10:00Z", &["26T01:30Z"]);
        check("0,30 2,3 * * *", berlin, "2026-10-25T00:10:00Z", &["25T00:30Z", "25T02:00Z", "25T02:30Z"]);
        check("0 */2 * * *", berlin, "2026-10-24T22:00:00Z", &["25T00:00Z", "25T03:00Z", "25T05:00Z"]);
        let new_york = "America/New_York";
        check("30 1 * * *", new_york, "2026-10-31T12:00:00Z", &["01T05:30Z", "02T06:30Z"]);
        check("30 1 * * *", new_york, "2026-11-01T05:40:00Z", &["02T06:30Z"]);
    }

    #[test]
    fn what_runs_every_hour_goes_on_through_a_change() {
        let berlin = "Europe/Berlin";
        check("0 * * * *", berlin, "2026-10-24T23:00:00Z", &["25T00:00Z", "25T01:00Z", "25T02:00Z"]);
        check("*/30 * * * *", berlin, "2026-10-25T00:10:00Z", &["25T00:30Z", "25T01:00Z", "25T01:30Z"]);
        check("*/30 * * * *", berlin, "2026-10-25T01:10:00Z", &["25T01:30Z", "25T02:00Z"]);
        check("0 0-23 * * *", "America/New_York", "2026-11-01T04:30:00Z", &["01T05:00Z", "01T06:00Z"]);
        // Half an hour, on Lord Howe.
        check("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:40:00Z", &["04T14:45Z", "04T15:00Z"]);
        // Every ten minutes are ten minutes apart, whatever the clock on the wall does.
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
            for from in ["2026-03-07T00:00:00Z", "2026-10-03T00:00:00Z"] {
                let due =
                    cron("*/10 * * * *", zone).due(at(from), at(from).plus_seconds(30 * 86_400), usize::MAX);
                assert_eq!(due.len(), 30 * 24 * 6, "{zone}");
                assert!(due.windows(2).all(|pair| pair[1].seconds() - pair[0].seconds() == 600), "{zone}");
            }
        }
    }

    /// Compares what is due, without year and month, which the moment tells.
    #[track_caller]
    fn check(text: &str, zone: &str, after: &str, expected: &[&str]) {
        let found = upcoming(text, zone, after, expected.len());
        let found: Vec<&str> = found.iter().map(|due| &due[8..]).collect();
        assert_eq!(found, expected, "{text} in {zone}");
    }

    #[test]
    fn due_times_of_a_range_include_its_end() {
        let hourly = cron("0 * * * *", "UTC");
        let (nine, noon) = (at("2026-01-01T09:00:00Z"), at("2026-01-01T12:00:00Z"));
        let hours = |count: i64| (1..=count).map(|n| nine.plus_seconds(n * 3600)).collect::<Vec<_>>();
        assert_eq!(hourly.due(nine, noon, 10), hours(3));
        assert_eq!(hourly.due(nine, noon, 2), hours(2));
        assert_eq!(hourly.due(noon, nine, 10), []);
        assert_eq!(hourly.due(nine, noon.plus_seconds(-1), 10), hours(2));
    }

    #[test]
    fn the_latest_is_found_among_many() {
        let minutes = cron("* * * * *", "Europe/Berlin");
        let (from, until) = (at("2000-01-01T00:00:00Z"), at("2026-10-25T01:29:59Z"));
        assert_eq!(minutes.latest(from, until), Some(at("2026-10-25T01:29:00Z")));
        assert_eq!(minutes.latest(until, until), None);
        assert_eq!(minutes.latest(at("2026-10-25T01:28:00Z"), until), Some(at("2026-10-25T01:29:00Z")));
        // Many a day, on few days.
        let dense = cron("*/5 * 1 1 *", "Asia/Tokyo");
        assert_eq!(dense.latest(from, until), Some(at("2026-01-01T14:55:00Z")));
        let leap = cron("0 0 29 2 *", "UTC");
        assert_eq!(leap.latest(from, until), Some(at("2024-02-29T00:00:00Z")));
        assert_eq!(leap.latest(at("2024-02-29T00:00:00Z"), until), None);
    }

    /// Nothing is due twice, nothing before what was due earlier, and each day has its run, where clocks change at
    /// midnight, by half an hour or by two, or around Ramadan.
    #[test]
    fn every_day_has_its_run() {
        let (from, until) = (at("2025-12-31T12:00:00Z"), at("2027-12-31T12:00:00Z"));
        for zone in [
            "Africa/Cairo",
            "Africa/Casablanca",
            "America/Havana",
            "America/New_York",
            "America/Santiago",
            "Antarctica/Troll",
            "Asia/Beirut",
            "Asia/Tokyo",
            "Atlantic/Azores",
            "Australia/Lord_Howe",
            "Europe/Berlin",
            "Pacific/Chatham",
        ] {
            for text in ["30 2 * * *", "0 0 * * *", "59 23 * * *"] {
                let due = cron(text, zone).due(from, until, usize::MAX);
                assert_eq!(due.len(), 730, "{text} in {zone}");
                assert!(due.windows(2).all(|pair| pair[0] < pair[1]), "{text} in {zone}");
            }
        }
    }
}

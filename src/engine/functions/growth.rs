//! How large the result of a function may become, and how much work it may be, worked out from its arguments.
//!
//! Why: a kernel makes its whole result at once, outside the memory that queries share, and an allocation that
//! fails ends the process. `repeat('x', 1e12)` is such a kernel; so is a chain of forty `concat(x, x)`.

use datafusion::error::Result;

use super::sizes::{Call, PerRow};

/// What of a function can grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// Nothing but the type of its result, which may nest.
    Type,
    /// The text as often as the number says.
    Repeat,
    /// The text, filled up to a number of characters.
    Pad,
    Replace,
    RegexpReplace,
    RegexpMatch,
    /// No result to speak of, but the work of a pattern.
    Regexp,
    /// All arguments, one after the other.
    Joined,
    /// All arguments but the first, which stands between them.
    JoinedWith,
    /// Twice the text, or four times.
    Times(u64),
    /// A format, each sign of which may stand for many.
    Formatted,
    /// The elements of a list as text, with a text between them.
    ListAsText,
    TextAsList,
    /// Numbers or times from, to, by.
    Series,
    /// The element as often as the number says.
    ListRepeat,
    /// The list with as many elements as the number says.
    ListResize,
    /// The list with elements exchanged for another.
    ListReplace,
    /// Each sign of one text against each of the other.
    Pairs,
    /// Each element of one list against each of the other.
    ElementPairs,
}

/// What a call is predicted to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Predicted {
    pub(super) bytes: u64,
    /// Steps of which a core does some hundred million a second.
    pub(super) steps: u64,
}

impl Growth {
    /// For the function `name`; `None` for one whose result is not larger than its arguments.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "struct" | "named_struct" | "arrow_cast" | "arrow_try_cast" => Self::Type,
            "repeat" => Self::Repeat,
            "lpad" | "rpad" => Self::Pad,
            "replace" => Self::Replace,
            "regexp_replace" => Self::RegexpReplace,
            "regexp_match" => Self::RegexpMatch,
            "regexp_like" | "regexp_count" | "regexp_instr" => Self::Regexp,
            "concat" | "overlay" | "make_array" | "array_append" | "array_prepend" | "array_concat"
            | "array_union" | "arrays_zip" | "map" => Self::Joined,
            "concat_ws" => Self::JoinedWith,
            "encode" | "array_distinct" | "array_sort" | "flatten" => Self::Times(2),
            "translate" | "upper" | "lower" | "initcap" => Self::Times(4),
            "to_char" => Self::Formatted,
            "array_to_string" => Self::ListAsText,
            "string_to_array" => Self::TextAsList,
            "range" | "generate_series" => Self::Series,
            "array_repeat" => Self::ListRepeat,
            "array_resize" => Self::ListResize,
            "array_replace" | "array_replace_n" | "array_replace_all" => Self::ListReplace,
            "levenshtein" => Self::Pairs,
            "array_has_all" | "array_has_any" => Self::ElementPairs,
            _ => return None,
        })
    }

    /// What `call` will take. Too few arguments are the function's to refuse.
    pub(super) fn predict(self, call: &Call<'_>) -> Result<Predicted> {
        if !(0..self.arguments_min()).all(|arg| call.has(arg)) {
            return Ok(Predicted::default());
        }
        let bytes = match self {
            Self::Type => 0,
            Self::Repeat => {
                let (text, times) = (call.bytes(0)?, call.numbers(1)?);
                sum(call, |row| text.at(row).saturating_mul(at_least_zero(times.at(row))))
            }
            Self::Pad => pad(call)?,
            Self::Replace => replace(call)?,
            Self::RegexpReplace => return regexp_replace(call),
            Self::RegexpMatch => return regexp_match(call),
            Self::Regexp => {
                let steps = pattern_steps(call, 1, call.bytes(0)?.total(call.rows))?;
                return Ok(Predicted { bytes: 0, steps });
            }
            Self::Joined => total(call, 0)?,
            Self::JoinedWith => {
                let between = call.bytes(0)?.total(call.rows).saturating_mul(call.count() as u64);
                total(call, 1)?.saturating_add(between)
            }
            Self::Times(times) => call.bytes(0)?.total(call.rows).saturating_mul(times),
            Self::Formatted => call.bytes(1)?.total(call.rows).saturating_mul(FORMATTED_BYTES),
            Self::ListAsText => {
                let (list, elements, between) = (call.bytes(0)?, call.elements(0)?, call.bytes(1)?);
                sum(call, |row| {
                    let between = elements.at(row).saturating_mul(between.at(row));
                    list.at(row).saturating_mul(TEXT_TIMES).saturating_add(between)
                })
            }
            Self::TextAsList => {
                let (text, between) = (call.bytes(0)?, call.bytes(1)?);
                sum(call, |row| {
                    let elements = text.at(row) / between.at(row).max(1) + 1;
                    text.at(row).saturating_add(elements.saturating_mul(16))
                })
            }
            Self::Series => series(call)?,
            Self::ListRepeat => {
                let (element, times) = (call.bytes(0)?, call.numbers(1)?);
                sum(call, |row| (element.at(row) + 8).saturating_mul(at_least_zero(times.at(row))))
            }
            Self::ListResize => {
                let size = call.numbers(1)?;
                let with = if call.has(2) { call.bytes(2)? } else { PerRow::Same(8) };
                let filled = sum(call, |row| (with.at(row) + 8).saturating_mul(at_least_zero(size.at(row))));
                filled.saturating_add(call.bytes(0)?.total(call.rows))
            }
            Self::ListReplace => {
                let (elements, with) = (call.elements(0)?, call.bytes(2)?);
                let changed = sum(call, |row| elements.at(row).saturating_mul(with.at(row)));
                changed.saturating_add(call.bytes(0)?.total(call.rows))
            }
            Self::Pairs => {
                let (left, right) = (call.bytes(0)?, call.bytes(1)?);
                let steps = sum(call, |row| left.at(row).saturating_mul(right.at(row)));
                return Ok(Predicted { bytes: 0, steps });
            }
            Self::ElementPairs => {
                let (left, right) = (call.elements(0)?, call.elements(1)?);
                let steps = sum(call, |row| left.at(row).saturating_mul(right.at(row)));
                return Ok(Predicted { bytes: 0, steps });
            }
        };
        Ok(Predicted { bytes, steps: 0 })
    }

    fn arguments_min(self) -> usize {
        match self {
            Self::Type | Self::Joined => 0,
            Self::Times(_) | Self::Series | Self::JoinedWith => 1,
            Self::Replace | Self::RegexpReplace | Self::ListReplace => 3,
            _ => 2,
        }
    }
}

/// What one sign of a format may become, such as the name of a month.
const FORMATTED_BYTES: u64 = 16;

/// A number of eight bytes may have twenty-odd digits.
const TEXT_TIMES: u64 = 3;

const DAY_NS: i128 = 86_400_000_000_000;

fn sum(call: &Call<'_>, of: impl Fn(usize) -> u64) -> u64 {
    (0..call.rows).fold(0, |sum, row| sum.saturating_add(of(row)))
}

fn at_least_zero(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// All arguments from `first` on.
fn total(call: &Call<'_>, first: usize) -> Result<u64> {
    (first..call.count())
        .try_fold(0_u64, |sum, arg| Ok(sum.saturating_add(call.bytes(arg)?.total(call.rows))))
}

fn pad(call: &Call<'_>) -> Result<u64> {
    let (text, length) = (call.bytes(0)?, call.numbers(1)?);
    let widest = if call.has(2) { call.widest(0).max(call.widest(2)) } else { call.widest(0) };
    Ok(sum(call, |row| at_least_zero(length.at(row)).saturating_mul(widest)).max(text.total(call.rows)))
}

fn replace(call: &Call<'_>) -> Result<u64> {
    let (text, from, to) = (call.bytes(0)?, call.bytes(1)?, call.bytes(2)?);
    Ok(sum(call, |row| {
        // An empty text is found between all signs.
        let found = match from.at(row) {
            0 => text.at(row) + 1,
            from => text.at(row) / from,
        };
        text.at(row).saturating_add(found.saturating_mul(to.at(row)))
    }))
}

fn regexp_replace(call: &Call<'_>) -> Result<Predicted> {
    let (text, with) = (call.bytes(0)?, call.bytes(2)?);
    let everywhere = match call.constant(3) {
        Some(flags) => flags.contains('g'),
        None => call.has(3),
    };
    // A group that is repeated in the replacement brings its whole match each time; matches do not overlap.
    let groups =
        call.texts(2)?.iter().map(|text| text.matches(['\\', '$']).count()).max().unwrap_or_default();
    let bytes = sum(call, |row| {
        let matches = if everywhere { text.at(row) + 1 } else { 1 };
        let groups = text.at(row).saturating_mul(groups as u64 + 1);
        matches.saturating_mul(with.at(row)).saturating_add(groups)
    });
    Ok(Predicted { bytes, steps: pattern_steps(call, 1, text.total(call.rows))? })
}

fn regexp_match(call: &Call<'_>) -> Result<Predicted> {
    let text = call.bytes(0)?.total(call.rows);
    let groups = call.texts(1)?.iter().map(|text| text.matches('(').count()).max().unwrap_or_default();
    let bytes = text.saturating_mul(groups as u64 + 1);
    Ok(Predicted { bytes, steps: pattern_steps(call, 1, text)? })
}

/// Each sign of the text may be compared with each state of the pattern, and each pattern is built first.
fn pattern_steps(call: &Call<'_>, pattern: usize, text_bytes: u64) -> Result<u64> {
    let patterns = call.texts(pattern)?;
    let (mut built, mut largest) = (0_u64, 0);
    for states in patterns.iter().map(|pattern| pattern_states(pattern)) {
        built = built.saturating_add(states.saturating_mul(PATTERN_STEPS));
        largest = largest.max(states);
    }
    Ok(built.saturating_add(text_bytes.saturating_mul(largest) / STATES_AT_ONCE))
}

/// States of a pattern that are looked at in one step: most patterns are run as a table.
const STATES_AT_ONCE: u64 = 16;

/// What it takes to build one state of a pattern, in steps.
const PATTERN_STEPS: u64 = 64;

/// States of the automaton of `pattern`, from above: counted repetitions multiply what they repeat.
pub(super) fn pattern_states(pattern: &str) -> u64 {
    let mut states = pattern.len() as u64;
    for counted in pattern.split('{').skip(1) {
        let count = counted.split('}').next().unwrap_or_default();
        let count = count.split(',').filter_map(|count| count.trim().parse::<u64>().ok()).max();
        states = states.saturating_mul(count.unwrap_or(1).max(1));
    }
    states
}

fn series(call: &Call<'_>) -> Result<u64> {
    let zero = PerRow::Same(0);
    let (start, stop) = match call.count() {
        1 => (zero, call.numbers(0)?),
        _ => (call.numbers(0)?, call.numbers(1)?),
    };
    let unit = call.unit_ns(0);
    let step = match (call.has(2), unit) {
        (false, _) => PerRow::Same(1),
        (true, None) => PerRow::Each(call.numbers(2)?.each(call.rows).map(i128::from).collect()),
        (true, Some(_)) => call.interval_ns(2)?,
    };
    Ok(sum(call, |row| {
        let span = i128::from(stop.at(row)) - i128::from(start.at(row));
        let span = span * unit.unwrap_or(1);
        let count = if step.at(row) == 0 { 0 } else { (span / step.at(row)).max(0) + 2 };
        u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(8)
    }))
}

/// Nanoseconds of a month and less, so that a series is not thought shorter than it is.
pub(super) const fn interval_ns(months: i32, days: i32, nanoseconds: i64) -> i128 {
    (months as i128 * 28 + days as i128) * DAY_NS + nanoseconds as i128
}

//! Numbers for people: what was measured, what was hoped for, and how noisy the run was.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::time::Duration;

/// Says what comes next.
pub(super) fn title(text: &str) {
    println!("\n{text}");
}

/// Says something beside the numbers.
pub(super) fn note(text: &str) {
    println!("  {text}");
}

/// A number that has a goal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// Prints a number beside its goal.
pub(super) fn line(what: &str, value: f64, unit: &str, goal: Goal) {
    let (met, sign, bound) = match goal {
        Goal::AtMost(bound) => (value <= bound, "<=", bound),
        Goal::AtLeast(bound) => (value >= bound, ">=", bound),
    };
    let verdict = if met { "ok" } else { "SHORT" };
    println!("  {what:<64} {value:>10.3} {unit:<5} goal {sign} {bound} {verdict}");
}

/// Prints a number that has none.
pub(super) fn plain(what: &str, value: f64, unit: &str) {
    println!("  {what:<64} {value:>10.3} {unit}");
}

/// The value below which `share` of `times` lie.
pub(super) fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The geometric mean of ratios.
pub(super) fn geomean(ratios: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful of queries")]
    let count = ratios.len() as f64;
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / count).exp()
}

/// Millions of bytes.
#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
pub(super) fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

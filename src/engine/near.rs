//! Names that somebody may have meant.

/// The `count` names most like `name`, best first; those that share too little with it are left out.
pub(super) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (likeness(&wanted, &known.to_lowercase()), known))
        .filter(|(score, _)| *score >= LIKENESS_MIN)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    let enough = scored.first().map_or(LIKENESS_MIN, |best| best.0 - LIKENESS_SPREAD);
    scored.retain(|(score, _)| *score >= enough);
    scored.into_iter().take(count).map(|(_, name)| name.to_owned()).collect()
}

/// Below it, a name is another name and not a slip of the pen.
const LIKENESS_MIN: f64 = 0.5;

/// How much less like the name than the best one may be.
const LIKENESS_SPREAD: f64 = 0.16;

/// From 0 to 1. A name that goes on after what was typed counts as near.
fn likeness(wanted: &str, known: &str) -> f64 {
    let distance = strsim::normalized_damerau_levenshtein(wanted, known);
    let begun = wanted.chars().count() >= 2 && known.starts_with(wanted);
    if begun { distance.max(0.85) } else { distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_what_was_probably_meant() {
        check("flihgts", &["flights"]);
        check("Flight", &["flights", "flight_delays"]);
        check("売り上げ", &["売上"]);
        check("売上", &["売上", "売上明細"]);
        check("zzz", &[]);
        check("", &[]);

        #[track_caller]
        fn check(name: &str, expected: &[&str]) {
            let known = ["flights", "flight_delays", "airports", "売上", "売上明細"];
            assert_eq!(near(name, known, 2), expected);
        }
    }
}

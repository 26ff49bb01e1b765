//! The hostile scripts of `udfs/evil`, and what is to become of each.
//!
//! ```text
//! # tries: what it does, in a sentence
//! # end: violation                      the name of its end, or several: violation | python_error:PermissionError
//! # end: A=ok B=python_error C=…        or one for each tier
//! # limits: deadline_ms=300 memory_mib=256
//! ```
//!
//! A script that gets what it wants raises `Escaped`, and that is the end of none.

use crate::host::Failure;
use crate::job::{Job, JobKind, Limits, Tier};

include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// The exception of a script that got what it wanted.
pub const ESCAPED: &str = "Escaped";

/// One script.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    pub name: &'static str,
    pub code: &'static str,
}

/// All of them, in order of their names.
pub fn scripts() -> impl Iterator<Item = Script> {
    SCRIPTS.iter().map(|(name, code)| Script { name, code })
}

impl Script {
    /// The text after `# field: ` in its head.
    fn field(&self, field: &str) -> Option<&'static str> {
        let head = self.code.lines().take_while(|line| line.starts_with('#'));
        head.filter_map(|line| line.strip_prefix("# ")?.strip_prefix(field)?.strip_prefix(": ")).next()
    }

    /// What it does.
    #[must_use]
    pub fn tries(&self) -> Option<&'static str> {
        self.field("tries")
    }

    /// The ends that are right on `tier`.
    #[must_use]
    pub fn ends(&self, tier: Tier) -> Vec<&'static str> {
        let text = self.field("end").unwrap_or_default();
        let own = text.split_whitespace().find_map(|part| part.strip_prefix(&format!("{tier}=")));
        own.unwrap_or(text).split('|').map(str::trim).collect()
    }

    /// Within which bounds it is run: small ones, so that what goes on for ever is over soon.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits {
            deadline_ms: 20_000,
            memory_bytes_max: 512 << 20,
            output_bytes_max: 4 << 20,
            log_bytes_max: 64 << 10,
            disk_bytes_max: 4 << 20,
            disk_files_max: 64,
            threads_max: 32,
        };
        for setting in self.field("limits").unwrap_or_default().split_whitespace() {
            let Some((name, value)) = setting.split_once('=') else { continue };
            let value = value.parse().unwrap_or_default();
            match name {
                "deadline_ms" => limits.deadline_ms = value,
                "memory_mib" => limits.memory_bytes_max = value << 20,
                "output_kib" => limits.output_bytes_max = value << 10,
                _ => {}
            }
        }
        limits
    }

    /// The job that runs it. Scripts with a `render` are cards.
    #[must_use]
    pub fn job(&self, params: serde_json::Value) -> Job {
        let mut job = Job::transform(self.code);
        if self.code.contains("\ndef render(") {
            job.kind = JobKind::Card;
            "render".clone_into(&mut job.entry);
        }
        self.name.clone_into(&mut job.file_name);
        Job { params, ..job }
    }

    /// Whether `failure`, or none, is a right end on `tier`; what is wrong with it otherwise.
    ///
    /// # Errors
    /// With what was expected and what came.
    pub fn check(&self, tier: Tier, failure: Option<&Failure>) -> Result<(), String> {
        let (name, kind) = match failure {
            None => ("ok", None),
            Some(Failure::PythonError(error)) => ("python_error", Some(error.kind.as_str())),
            Some(failure) => (failure.name(), None),
        };
        let ends = self.ends(tier);
        let fits = |end: &&str| match end.split_once(':') {
            Some((wanted, class)) => wanted == name && kind == Some(class),
            None => *end == name,
        };
        if kind != Some(ESCAPED) && ends.iter().any(fits) {
            return Ok(());
        }
        let came = failure.map_or_else(|| "it ended well".to_owned(), |failure| format!("{name}: {failure}"));
        Err(format!("`{}` on tier {tier}: expected {}, got {came}", self.name, ends.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_script_says_what_it_tries_and_how_it_ends() {
        const NAMES: &[&str] = &[
            "ok",
            "python_error",
            "timed_out",
            "out_of_memory",
            "output_too_large",
            "violation",
            "bad_output",
            "crashed",
        ];
        assert!(scripts().count() >= 60, "{}", scripts().count());
        for script in scripts() {
            assert!(script.tries().is_some_and(|text| text.len() > 10), "{}", script.name);
            for tier in Tier::ALL {
                for end in script.ends(tier) {
                    let name = end.split(':').next().unwrap_or_default();
                    assert!(NAMES.contains(&name), "{}: `{end}`", script.name);
                }
            }
        }
    }

    #[test]
    fn no_script_is_there_twice() {
        let codes: BTreeSet<&str> = scripts().map(|script| script.code).collect();
        assert_eq!(codes.len(), scripts().count());
    }

    #[test]
    fn an_end_is_right_or_wrong() {
        let script = Script {
            name: "x",
            code: "# tries: it\n# end: A=ok|timed_out B=python_error:OSError C=violation\n",
        };
        let error = |kind: &str| {
            Failure::PythonError(crate::PythonError {
                kind: kind.to_owned(),
                message: String::new(),
                traceback: String::new(),
                line: None,
            })
        };
        assert!(script.check(Tier::A, None).is_ok());
        assert!(script.check(Tier::A, Some(&Failure::TimedOut { deadline_ms: 1 })).is_ok());
        assert!(script.check(Tier::A, Some(&Failure::Violation)).is_err());
        assert!(script.check(Tier::B, Some(&error("OSError"))).is_ok());
        assert!(script.check(Tier::B, Some(&error("KeyError"))).is_err());
        assert!(script.check(Tier::C, Some(&Failure::Violation)).is_ok());
        assert!(script.check(Tier::C, None).is_err());
        let any = Script { name: "x", code: "# tries: it\n# end: python_error\n" };
        assert!(any.check(Tier::A, Some(&error("OSError"))).is_ok());
        assert!(any.check(Tier::A, Some(&error(ESCAPED))).is_err(), "an escape is never right");
    }
}

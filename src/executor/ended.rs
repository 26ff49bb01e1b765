//! What came of a run, in the words of the service.

use serde_json::json;
use shirabe_wire::PythonError;
use shirabe_wire::host::Failure;

use super::hint::{Known, hint};
use crate::error::Error;

/// The error that a run's `failure` is. `known` is what may help its author.
pub(super) fn error(failure: Failure, known: &Known) -> Error {
    match failure {
        Failure::PythonError(error) => python(&error, known),
        Failure::TimedOut { deadline_ms } => Error::ExecutionTimedOut(format!(
            "the code ran longer than {} s",
            // As it was set: limits are whole seconds, but for tests.
            deadline_ms.div_ceil(1000)
        )),
        Failure::OutOfMemory { memory_bytes_max, error } => {
            let place = error.and_then(|error| error.line).map(|line| format!(" at line {line}"));
            Error::OverLimit(format!(
                "the code needed more than {} MiB of memory{}: ask for fewer columns or rows of the inputs, or \
                 keep fewer copies of them",
                memory_bytes_max >> 20,
                place.unwrap_or_default()
            ))
        }
        Failure::OutputTooLarge { byte_count_max } => Error::OverLimit(format!(
            "the result is larger than {} MiB: return fewer rows or columns",
            byte_count_max >> 20
        )),
        Failure::Violation => Error::Execution {
            message: "the code tried to break out of its sandbox, and was ended".to_owned(),
            details: json!({ "kind": "SandboxViolation" }),
        },
        Failure::BadOutput(reason) => {
            Error::Execution { message: reason, details: json!({ "kind": "BadOutput" }) }
        }
        Failure::Cancelled => Error::Cancelled,
        Failure::Crashed { signal } => Error::Execution {
            message: format!("a library brought the run's process down (signal {signal})"),
            details: json!({ "kind": "Crash" }),
        },
        Failure::Unfit(reason) => {
            Error::SandboxUnavailable(format!("a run of Python could not be confined: {reason}"))
        }
        Failure::Unavailable(reason) => Error::Unavailable {
            message: "the Python worker did not answer: try again".to_owned(),
            cause: Some(reason.into()),
        },
    }
}

fn python(error: &PythonError, known: &Known) -> Error {
    let message = match error.message.is_empty() {
        true => error.kind.clone(),
        false => format!("{}: {}", error.kind, error.message),
    };
    let mut details = json!({ "kind": error.kind, "traceback": error.traceback, "line": error.line });
    if let Some(hint) = hint(error, known) {
        details["hint"] = hint.into();
    }
    Error::Execution { message, details }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn raised(kind: &str, message: &str) -> PythonError {
        let traceback = format!("Traceback (most recent call last):\n{kind}: {message}\n");
        PythonError { kind: kind.to_owned(), message: message.to_owned(), traceback, line: Some(3) }
    }

    #[test]
    fn failures_are_told_by_what_one_can_do() {
        use Failure as F;
        check(F::TimedOut { deadline_ms: 300_000 }, Code::ExecutionTimeout, "longer than 300 s");
        check(F::TimedOut { deadline_ms: 500 }, Code::ExecutionTimeout, "longer than 1 s");
        let error = Some(raised("MemoryError", ""));
        check(
            F::OutOfMemory { memory_bytes_max: 64 << 20, error },
            Code::OverLimit,
            "64 MiB of memory at line 3",
        );
        check(F::OutOfMemory { memory_bytes_max: 64 << 20, error: None }, Code::OverLimit, "of memory: ask");
        check(F::OutputTooLarge { byte_count_max: 2 << 20 }, Code::OverLimit, "larger than 2 MiB");
        check(F::Violation, Code::ExecutionError, "break out of its sandbox");
        check(F::BadOutput("`transform` returned None".into()), Code::ExecutionError, "returned None");
        check(F::Cancelled, Code::Cancelled, "cancelled");
        check(F::Crashed { signal: 11 }, Code::ExecutionError, "signal 11");
        check(F::Unfit("no seccomp".into()), Code::SandboxUnavailable, "no seccomp");
        check(F::Unavailable("it is gone".into()), Code::ServiceUnavailable, "try again");
        check(F::PythonError(raised("ValueError", "no")), Code::ExecutionError, "ValueError: no");
        check(F::PythonError(raised("KeyboardInterrupt", "")), Code::ExecutionError, "KeyboardInterrupt");

        #[track_caller]
        fn check(failure: Failure, code: Code, expected: &str) {
            let error = super::error(failure, &Known::default());
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn an_exception_keeps_its_place() {
        let details = error(Failure::PythonError(raised("ValueError", "no")), &Known::default()).details();
        assert_eq!((details["kind"].as_str(), details["line"].as_u64()), (Some("ValueError"), Some(3)));
        assert!(details["traceback"].as_str().unwrap().starts_with("Traceback"), "{details}");
        assert_eq!(details.get("hint"), None);
    }
}

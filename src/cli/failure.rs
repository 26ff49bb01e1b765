//! Why a command did not do what it should, how that is told, and with which code it ends.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Code, Error};

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The server answered with an error.
    Api(ApiFailure),
    /// The service could not be opened in this process.
    Local(Error),
    /// The server could not be reached, or stopped in the middle of an answer.
    Connection(String),
    /// A file here could not be read or written.
    File(String),
    /// The arguments do not fit together.
    Usage(String),
    /// It worked, and what it found is bad news that was already told.
    Findings,
    /// Whoever read our output has gone; nobody is left to tell.
    OutputClosed,
    Interrupted,
}

/// An error of the API.
#[derive(Debug, Clone, Deserialize)]
pub struct ApiFailure {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub details: Value,
    /// The statement that it is about, to point into.
    #[serde(skip)]
    pub statement: Option<String>,
}

impl ApiFailure {
    /// What the server would say, had it been asked for this by name.
    pub(super) fn not_found(message: String) -> Self {
        Self { code: "NOT_FOUND".to_owned(), message, details: Value::Null, statement: None }
    }
}

impl Failure {
    /// The code to exit with, as `--help` lists them.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_number())
    }

    fn exit_number(&self) -> u8 {
        match self {
            Self::Api(failure) => number(&failure.code),
            Self::Local(error) => number(&code_text(error.code())),
            Self::Connection(_) | Self::File(_) | Self::Findings => 1,
            Self::Usage(_) => 2,
            Self::OutputClosed => 0,
            Self::Interrupted => 130,
        }
    }

    /// Whether there is anything to say.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Findings | Self::OutputClosed)
    }

    /// The same, naming the file that it is about: one of several.
    pub(super) fn with_file(self, file: &Path) -> Self {
        match self {
            Self::Api(failure) => {
                let message = format!("`{}`: {}", file.display(), failure.message);
                Self::Api(ApiFailure { message, ..failure })
            }
            other => other,
        }
    }

    /// The same, about this statement.
    pub(super) fn about(self, statement: &str) -> Self {
        match self {
            Self::Api(failure) => Self::Api(ApiFailure { statement: Some(statement.to_owned()), ..failure }),
            other => other,
        }
    }
}

fn number(code: &str) -> u8 {
    match code {
        "UNAUTHORIZED" | "INVALID_TOKEN" | "TOKEN_EXPIRED" | "INVALID_CREDENTIALS" | "FORBIDDEN" => 3,
        "NOT_FOUND" => 4,
        "CONFLICT" | "DUPLICATE_ERROR" | "PRECONDITION_FAILED" => 5,
        _ => 1,
    }
}

fn code_text(code: Code) -> String {
    serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(failure) => write!(f, "{failure}"),
            Self::Local(error) => write!(f, "error[{}]: {error}", code_text(error.code())),
            Self::Connection(message) | Self::File(message) => write!(f, "error: {message}"),
            Self::Usage(message) => write!(f, "error: {message}\n\nFor more information, try '--help'."),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Findings | Self::OutputClosed => Ok(()),
        }
    }
}

impl fmt::Display for ApiFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        let at = |name: &str| self.details.get(name).and_then(Value::as_u64);
        if let (Some(line), Some(column)) = (at("line"), at("column")) {
            match self.statement.as_deref().and_then(|statement| pointer(statement, line, column)) {
                Some(pointer) => write!(f, "\n{pointer}")?,
                None => write!(f, "\n  at line {line}, column {column}")?,
            }
        }
        let suggestions = self.details.get("suggestions").and_then(Value::as_array);
        let suggestions: Vec<&str> = suggestions.into_iter().flatten().filter_map(Value::as_str).collect();
        // Most messages name them already.
        if suggestions.iter().any(|near| !self.message.contains(&format!("`{near}`"))) {
            write!(f, "\nhelp: did you mean `{}`?", suggestions.join("`, `"))?;
        }
        Ok(())
    }
}

/// The line of the statement with a caret under the column. Characters that take two cells, as Japanese
/// ones do, move the caret by two.
fn pointer(statement: &str, line: u64, column: u64) -> Option<String> {
    let index = usize::try_from(line.checked_sub(1)?).ok()?;
    let text = statement.lines().nth(index)?.replace('\t', " ");
    let before: String = text.chars().take(usize::try_from(column.checked_sub(1)?).ok()?).collect();
    let gutter = line.to_string().len();
    let cells = unicode_width::UnicodeWidthStr::width(before.as_str());
    Some(format!("{:gutter$} |\n{line} | {text}\n{:gutter$} | {:cells$}^", "", "", ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api(code: &str, details: Value) -> ApiFailure {
        ApiFailure { code: code.to_owned(), message: "no column `fare`".to_owned(), details, statement: None }
    }

    #[test]
    fn codes_end_the_process_as_documented() {
        check(Failure::Api(api("INTERNAL_ERROR", json!({}))), 1);
        check(Failure::Usage(String::new()), 2);
        check(Failure::Api(api("TOKEN_EXPIRED", json!({}))), 3);
        check(Failure::Api(api("NOT_FOUND", json!({}))), 4);
        check(Failure::Api(api("DUPLICATE_ERROR", json!({}))), 5);
        check(Failure::Local(Error::not_found("dataset", "x")), 4);
        check(Failure::OutputClosed, 0);
        check(Failure::Interrupted, 130);

        #[track_caller]
        fn check(failure: Failure, expected: u8) {
            assert_eq!(failure.exit_number(), expected);
        }
    }

    #[test]
    fn the_caret_stands_under_the_column() {
        let details = json!({ "line": 2, "column": 8, "suggestions": ["far", "fares"] });
        let failure = Failure::Api(api("UNKNOWN_NAME", details)).about("select\n\"売上\" + fare");
        insta::assert_snapshot!(failure, @r#"
        error[UNKNOWN_NAME]: no column `fare`
          |
        2 | "売上" + fare
          |          ^
        help: did you mean `far`, `fares`?
        "#);
    }

    #[test]
    fn a_place_outside_the_statement_is_told_in_words() {
        let failure = Failure::Api(api("INVALID_SQL", json!({ "line": 9, "column": 1 }))).about("select 1");
        assert!(failure.to_string().ends_with("at line 9, column 1"), "{failure}");
    }
}

//! How far an import is: a moving bar for people, a line at every new stage for logs.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::out::Out;

/// What the server tells of an import.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImportState {
    pub(super) state: State,
    #[serde(default)]
    pub(super) stage: String,
    #[serde(default)]
    pub(super) bytes_read: u64,
    pub(super) bytes_total: Option<u64>,
    #[serde(default)]
    pub(super) rows: u64,
    #[serde(default)]
    pub(super) bad_rows: u64,
    #[serde(default)]
    pub(super) result: serde_json::Value,
    pub(super) error: Option<super::failure::ApiFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl ImportState {
    /// What it is doing, or how it ended: where a failed one stood is of no use to a person.
    fn stage(&self) -> &str {
        match self.state {
            State::Running | State::Completed => &self.stage,
            State::Failed => "failed after",
            State::Cancelled => "cancelled after",
        }
    }
}

/// Shows one import.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    name: String,
    stage: String,
}

impl Progress {
    pub(super) fn start(name: &str, out: &Out) -> Self {
        let bar = out.remarks_to_terminal().then(|| {
            let bar = ProgressBar::new(0);
            // The template is a constant; were it wrong, the bar would only look plain.
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix} {bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg}",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, name: name.to_owned(), stage: String::new() }
    }

    pub(super) fn show(&mut self, import: &ImportState, out: &mut Out) {
        let bad =
            if import.bad_rows > 0 { format!(", {} set aside", import.bad_rows) } else { String::new() };
        let stage = import.stage();
        let message = format!("{stage} {} rows{bad}", import.rows);
        if let Some(bar) = &self.bar {
            bar.set_length(import.bytes_total.unwrap_or(import.bytes_read));
            bar.set_position(import.bytes_read);
            bar.set_message(message);
        } else if stage != self.stage {
            stage.clone_into(&mut self.stage);
            out.remark(format_args!("{}: {message}", self.name));
        }
    }

    /// The bar for bytes that are on their way to the server; `None` when nobody watches.
    pub(super) fn upload_bar(&self, total: u64) -> Option<ProgressBar> {
        let bar = self.bar.clone()?;
        bar.set_length(total);
        bar.set_message("sending");
        Some(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::Paper;

    #[test]
    fn an_import_is_read_whether_or_not_it_has_ended() {
        let running: ImportState =
            serde_json::from_str(r#"{"state":"running","stage":"reading","bytes_read":5,"rows":2}"#).unwrap();
        assert_eq!((running.state, running.bytes_total, running.rows), (State::Running, None, 2));
        let failed = r#"{"state":"failed","error":{"code":"VALIDATION_ERROR","message":"CSV parse error"}}"#;
        let failed: ImportState = serde_json::from_str(failed).unwrap();
        assert_eq!(failed.error.unwrap().code, "VALIDATION_ERROR");
    }

    #[test]
    fn a_log_tells_each_stage_once_and_a_failure_as_one() {
        let paper = Paper::default();
        let mut out = Out::to(Box::new(std::io::sink()), Box::new(paper.clone()));
        let mut progress = Progress::start("sales", &out);
        for import in [
            r#"{"state":"running","stage":"writing","rows":1}"#,
            r#"{"state":"running","stage":"writing","rows":2}"#,
            r#"{"state":"failed","stage":"finished","rows":3,"bad_rows":1}"#,
        ] {
            progress.show(&serde_json::from_str(import).unwrap(), &mut out);
        }
        insta::assert_snapshot!(paper.text(), @r"
        sales: writing 1 rows
        sales: failed after 3 rows, 1 set aside
        ");
    }
}

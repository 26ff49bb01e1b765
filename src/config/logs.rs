//! Logs.

use super::setting::{Reader, Setting};

const LEVEL: Setting = Setting {
    name: "LOG_LEVEL",
    default: Some("INFO"),
    meaning: "least severity that is logged: `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`",
};
const FORMAT: Setting = Setting {
    name: "LOG_FORMAT",
    default: None,
    meaning: "`json` or `console`; by default `console` in a terminal and `json` elsewhere",
};

pub(super) const SETTINGS: &[&Setting] = &[&LEVEL, &FORMAT];

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Console,
}

/// Settings of the log.
#[derive(Debug, Clone, Copy)]
pub struct LogConfig {
    pub level: LogLevel,
    /// `None`: as the terminal asks for.
    pub format: Option<LogFormat>,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let levels = "`ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`";
        let level = reader.required(&LEVEL, levels, |text| match text.to_ascii_uppercase().as_str() {
            "ERROR" | "CRITICAL" => Some(LogLevel::Error),
            "WARN" | "WARNING" => Some(LogLevel::Warn),
            "INFO" => Some(LogLevel::Info),
            "DEBUG" => Some(LogLevel::Debug),
            "TRACE" => Some(LogLevel::Trace),
            _ => None,
        });
        let format = reader.optional(&FORMAT, "`json` or `console`", |text| match text {
            "json" => Some(LogFormat::Json),
            "console" => Some(LogFormat::Console),
            _ => None,
        });
        Some(Self { level: level?, format: format? })
    }
}

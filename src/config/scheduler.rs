//! Running transforms by the clock.

use super::setting::{Reader, Setting};

const ENABLED: Setting = Setting {
    name: "SCHEDULER_ENABLED",
    default: Some("false"),
    meaning: "whether this process runs transforms when they are due; any number of processes may",
};
const INTERVAL: Setting = Setting {
    name: "SCHEDULER_INTERVAL_SECONDS",
    default: Some("60"),
    meaning: "seconds between two looks at what is due",
};

pub(super) const SETTINGS: &[&Setting] = &[&ENABLED, &INTERVAL];

/// Settings of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerConfig {
    pub enabled: bool,
    pub interval_s: u64,
}

impl SchedulerConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let enabled = reader.switch(&ENABLED);
        let interval_s = reader.number(&INTERVAL, 1, 3600);
        Some(Self { enabled: enabled?, interval_s: interval_s? })
    }
}

//! How often callers may call.

use std::num::NonZeroU32;

use super::setting::{Reader, Setting};

const ENABLED: Setting = Setting {
    name: "RATE_LIMIT_ENABLED",
    default: Some("true"),
    meaning: "whether calls are counted at all",
};
const LOGIN: Setting = Setting {
    name: "RATE_LIMIT_LOGIN_PER_MINUTE",
    default: Some("5"),
    meaning: "sign-ins a minute from one address",
};
const USER: Setting = Setting {
    name: "RATE_LIMIT_USER_PER_MINUTE",
    default: Some("100"),
    meaning: "calls a minute by one user",
};
const TOTAL: Setting = Setting {
    name: "RATE_LIMIT_TOTAL_PER_MINUTE",
    default: Some("1000"),
    meaning: "calls a minute by all callers together",
};

pub(super) const SETTINGS: &[&Setting] = &[&ENABLED, &LOGIN, &USER, &TOTAL];

/// Calls a minute. Health, metrics and the operator's command line are not counted.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitConfig {
    pub enabled: bool,
    pub login_per_minute: NonZeroU32,
    pub user_per_minute: NonZeroU32,
    pub total_per_minute: NonZeroU32,
}

impl RateLimitConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let enabled = reader.switch(&ENABLED);
        let mut rate = |setting| {
            let number = reader.number(setting, 1, 1_000_000)?;
            u32::try_from(number).ok().and_then(NonZeroU32::new)
        };
        let (login, user, total) = (rate(&LOGIN), rate(&USER), rate(&TOTAL));
        Some(Self {
            enabled: enabled?,
            login_per_minute: login?,
            user_per_minute: user?,
            total_per_minute: total?,
        })
    }
}

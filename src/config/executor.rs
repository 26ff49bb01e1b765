//! Where Python runs, and what it may use.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;

use super::setting::{Reader, Setting};
use crate::limits::MB_MAX;

const ENDPOINT: Setting = Setting {
    name: "EXECUTOR_ENDPOINT",
    default: None,
    meaning: "address of a service `shirabe executor` that runs Python, such as `http://executor:8080`; when it is not \
              set, Python runs in workers of this process",
};
const HOST: Setting = Setting {
    name: "EXECUTOR_HOST",
    default: Some("127.0.0.1"),
    meaning: "address that `shirabe executor` listens on",
};
const PORT: Setting = Setting {
    name: "EXECUTOR_PORT",
    default: Some("8080"),
    meaning: "port that `shirabe executor` listens on",
};
const TOKEN: Setting = Setting {
    name: "EXECUTOR_TOKEN",
    default: None,
    meaning: "secret that both sides know, at least 32 characters; required for `shirabe executor` and with \
              `EXECUTOR_ENDPOINT`",
};
const TIMEOUT_CARD: Setting =
    Setting { name: "EXECUTOR_TIMEOUT_CARD", default: Some("10"), meaning: "seconds a card may run" };
const TIMEOUT_TRANSFORM: Setting = Setting {
    name: "EXECUTOR_TIMEOUT_TRANSFORM",
    default: Some("300"),
    meaning: "seconds a transform may run",
};
const CARDS: Setting = Setting {
    name: "EXECUTOR_MAX_CONCURRENT_CARDS",
    default: Some("10"),
    meaning: "cards in Python that run at the same time",
};
const TRANSFORMS: Setting = Setting {
    name: "EXECUTOR_MAX_CONCURRENT_TRANSFORMS",
    default: Some("5"),
    meaning: "transforms in Python that run at the same time",
};
const MEMORY: Setting = Setting {
    name: "EXECUTOR_MEMORY_MB",
    default: None,
    meaning: "memory for all runs of Python together, in MiB; by default what is available at the start, less what \
              queries may use",
};
const INPUTS: Setting = Setting {
    name: "EXECUTOR_INPUTS_MB",
    default: None,
    meaning: "memory for inputs of Python that are kept for runs that read the same rows, in MiB of what no run has \
              reserved; 0 keeps none; by default a quarter of the memory for all runs",
};
const WAITING: Setting = Setting {
    name: "EXECUTOR_WAITING_MAX",
    default: Some("64"),
    meaning: "runs of Python that wait for their turn; more get 503",
};
const WAITING_SECONDS: Setting = Setting {
    name: "EXECUTOR_WAITING_SECONDS",
    default: Some("60"),
    meaning: "seconds a run of Python waits for its turn, which do not count towards its own; then 503",
};
const WORKER: Setting = Setting {
    name: "EXECUTOR_WORKER",
    default: None,
    meaning: "the program `shirabe-worker`; by default the one beside this program",
};
const PYTHON_HOME: Setting = Setting {
    name: "EXECUTOR_PYTHON_HOME",
    default: Some("/opt/shirabe/python"),
    meaning: "virtual environment with the libraries of Python code, which every user can read; `./dev up` sets it to \
              the one that it has installed",
};
const TIER: Setting = Setting {
    name: "SANDBOX_MIN_TIER",
    default: Some("C"),
    meaning: "the least confined tier that Python may run on, `A`, `B` or `C`; where none stands its test, none runs",
};

pub(super) const SETTINGS: &[&Setting] = &[
    &ENDPOINT,
    &HOST,
    &PORT,
    &TOKEN,
    &TIMEOUT_CARD,
    &TIMEOUT_TRANSFORM,
    &CARDS,
    &TRANSFORMS,
    &MEMORY,
    &INPUTS,
    &WAITING,
    &WAITING_SECONDS,
    &WORKER,
    &PYTHON_HOME,
    &TIER,
];

const TOKEN_CHARS_MIN: usize = 32;

/// How little confined a run may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxTier {
    A,
    B,
    C,
}

/// Settings of Python.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// `None`: in this process.
    pub endpoint: Option<String>,
    pub host: IpAddr,
    pub port: u16,
    /// There when `endpoint` is.
    pub token: Option<SecretString>,
    pub card_timeout_s: u64,
    pub transform_timeout_s: u64,
    pub cards_max: u64,
    pub transforms_max: u64,
    /// `None`: what there is.
    pub memory_bytes_max: Option<u64>,
    /// `None`: a share of that.
    pub kept_bytes_max: Option<u64>,
    pub waiting_max: u64,
    pub waiting_s: u64,
    /// `None`: beside this program.
    pub worker: Option<PathBuf>,
    pub python_home: PathBuf,
    pub tier_min: SandboxTier,
}

impl ExecutorConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Each is read before the first one that failed is left with, so that all problems are told at once.
        let endpoint = reader.optional(&ENDPOINT, "an address such as `http://executor:8080`", |text| {
            let url = url::Url::parse(text).ok()?;
            let plain = matches!(url.scheme(), "http" | "https") && url.host().is_some();
            (plain && url.query().is_none()).then(|| text.trim_end_matches('/').to_owned())
        });
        let host = reader.required(&HOST, "an IP address such as `127.0.0.1` or `::`", |text| match text {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            _ => text.parse().ok(),
        });
        let port =
            reader.required(&PORT, "a port, 1 to 65535", |text| text.parse().ok().filter(|port| *port != 0));
        let token = Self::token(reader);
        if reader.is_set(ENDPOINT.name) && !reader.is_set(TOKEN.name) {
            reader.problem("`EXECUTOR_ENDPOINT` is set, but `EXECUTOR_TOKEN` is not".to_owned());
        }
        let card_timeout_s = reader.number(&TIMEOUT_CARD, 1, 86_400);
        let transform_timeout_s = reader.number(&TIMEOUT_TRANSFORM, 1, 86_400);
        let cards_max = reader.number(&CARDS, 1, 200);
        let transforms_max = reader.number(&TRANSFORMS, 1, 200);
        let memory_mb = reader.optional_number(&MEMORY, 256, MB_MAX);
        let inputs_mb = reader.optional_number(&INPUTS, 0, MB_MAX);
        let waiting_max = reader.number(&WAITING, 0, 10_000);
        let waiting_s = reader.number(&WAITING_SECONDS, 1, 3_600);
        let tier_min = reader.required(&TIER, "`A`, `B` or `C`", |text| match text {
            "A" => Some(SandboxTier::A),
            "B" => Some(SandboxTier::B),
            "C" => Some(SandboxTier::C),
            _ => None,
        });
        Some(Self {
            endpoint: endpoint?,
            host: host?,
            port: port?,
            token: token?,
            card_timeout_s: card_timeout_s?,
            transform_timeout_s: transform_timeout_s?,
            cards_max: cards_max?,
            transforms_max: transforms_max?,
            memory_bytes_max: memory_mb?.map(|mb| mb << 20),
            kept_bytes_max: inputs_mb?.map(|mb| mb << 20),
            waiting_max: waiting_max?,
            waiting_s: waiting_s?,
            worker: reader.text(&WORKER).map(PathBuf::from),
            python_home: reader.text(&PYTHON_HOME).map(PathBuf::from)?,
            tier_min: tier_min?,
        })
    }

    /// The address to bind.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    #[expect(clippy::option_option, reason = "outer: is it fine; inner: was it there")]
    fn token(reader: &mut Reader<'_>) -> Option<Option<SecretString>> {
        let Some(token) = reader.text(&TOKEN) else { return Some(None) };
        let length = token.chars().count();
        if length < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            // The value itself is not repeated: messages end up in logs.
            reader.problem(format!(
                "`{}`: expected at least {TOKEN_CHARS_MIN} letters, digits and signs of ASCII, got {length}",
                TOKEN.name
            ));
            return None;
        }
        Some(Some(SecretString::from(token)))
    }
}

//! Where the API listens, and whom it believes.

use std::net::{IpAddr, SocketAddr};

use crate::cidr::Cidr;

use super::setting::{Reader, Setting};

const ENV: Setting = Setting {
    name: "ENV",
    default: Some("local"),
    meaning: "`local`, `staging` or `production`; outside `local` secrets must be given",
};
const HOST: Setting =
    Setting { name: "API_HOST", default: Some("127.0.0.1"), meaning: "address the API listens on" };
const PORT: Setting = Setting { name: "API_PORT", default: Some("8000"), meaning: "port the API listens on" };
const CORS: Setting = Setting {
    name: "CORS_ORIGINS",
    default: None,
    meaning: "origins of web pages that may call the API, separated by commas, each written out",
};
const PROXIES: Setting = Setting {
    name: "TRUSTED_PROXIES",
    default: None,
    meaning: "addresses or networks of reverse proxies whose `X-Forwarded-For` is believed, separated by commas",
};

pub(super) const SETTINGS: &[&Setting] = &[&ENV, &HOST, &PORT, &CORS, &PROXIES];

/// Where the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Local,
    Staging,
    Production,
}

impl Environment {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.required(&ENV, "`local`, `staging` or `production`", |text| match text {
            "local" => Some(Self::Local),
            "staging" => Some(Self::Staging),
            "production" => Some(Self::Production),
            _ => None,
        })
    }
}

/// The door's own settings.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub environment: Environment,
    pub host: IpAddr,
    pub port: u16,
    /// Exact origins, such as `https://bi.example.com`.
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<Cidr>,
}

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Option<Environment>) -> Option<Self> {
        let host = reader.required(&HOST, "an IP address such as `127.0.0.1` or `::`", |text| match text {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            _ => text.parse().ok(),
        });
        let port =
            reader.required(&PORT, "a port, 1 to 65535", |text| text.parse().ok().filter(|port| *port != 0));
        let cors_origins = Self::origins(reader);
        let proxies = "addresses or networks such as `10.0.0.0/8`";
        let trusted_proxies =
            reader.optional(&PROXIES, proxies, |text| items(text).map(|item| item.parse().ok()).collect());
        Some(Self {
            environment: environment?,
            host: host?,
            port: port?,
            cors_origins: cors_origins?,
            trusted_proxies: trusted_proxies?.unwrap_or_default(),
        })
    }

    /// The address to bind.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    fn origins(reader: &mut Reader<'_>) -> Option<Vec<String>> {
        if reader.text(&CORS).is_some_and(|text| items(&text).any(|item| item == "*")) {
            reader.problem(format!(
                "`{}` holds `*`: expected each origin written out, because `*` would let any site that a \
                 user visits call this API",
                CORS.name
            ));
            return None;
        }
        let expected = "origins such as `https://bi.example.com`, without a path, separated by commas";
        let origins = reader.optional(&CORS, expected, |text| {
            items(text).map(|item| is_origin(item).then(|| item.to_owned())).collect()
        })?;
        Some(origins.unwrap_or_default())
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Scheme, host and perhaps a port, in the form that browsers send.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_no_path_and_no_wildcard() {
        for good in ["https://bi.example.com", "http://localhost:3000", "http://[::1]:3000"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["bi.example.com", "https://", "https://a/b", "https://*.example.com", "null"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}

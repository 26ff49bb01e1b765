//! Choosing the server: the one named, else the one that runs on the data folder, else this process.

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::Client;
use crate::cli::failure::Failure;
use crate::cli::{Connection, Host, Local, Place};
use crate::config::Config;

/// How long a server may take to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Base of requests that never leave this process; only its path is looked at.
const IN_PROCESS: &str = "http://in-process/";

impl Client {
    /// A client of the server that the arguments choose.
    pub(in crate::cli) async fn connect(connection: &Connection, host: &dyn Host) -> Result<Self, Failure> {
        if let Some(server) = &connection.server {
            return Self::remote(server, connection);
        }
        match host.open(config(connection)?).await.map_err(Failure::Local)? {
            Place::Running { url, operator_token } => Self::running(&url, operator_token),
            Place::Here(local) => Self::in_process(local),
        }
    }

    fn remote(server: &str, connection: &Connection) -> Result<Self, Failure> {
        let base = base(server).ok_or_else(|| {
            Failure::Usage(format!(
                "`--server` is `{server}`: expected an address such as `http://localhost:8000`"
            ))
        })?;
        let network = network()?;
        let token = connection.api_key.clone();
        Ok(Self { transport: Box::new(network.clone()), base, token, builder: network, shares_disk: false })
    }

    fn running(url: &str, token: SecretString) -> Result<Self, Failure> {
        let base = base(url).ok_or_else(|| Failure::Connection(format!("no server can be at `{url}`")))?;
        let network = network()?;
        Ok(Self {
            transport: Box::new(network.clone()),
            base,
            token: Some(token),
            builder: network,
            shares_disk: true,
        })
    }

    fn in_process(local: Local) -> Result<Self, Failure> {
        let base = base(IN_PROCESS).ok_or_else(|| Failure::Connection("no base address".to_owned()))?;
        let token = Some(local.operator_token);
        Ok(Self { transport: Box::new(local.door), base, token, builder: network()?, shares_disk: true })
    }
}

/// The settings, with what the arguments say instead.
pub(in crate::cli) fn config(connection: &Connection) -> Result<Config, Failure> {
    let mut config = Config::from_env().map_err(|problems| Failure::Usage(problems.to_string()))?;
    if let Some(folder) = &connection.data_dir {
        config.data.folder.clone_from(folder);
    }
    Ok(config)
}

fn base(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn network() -> Result<reqwest::Client, Failure> {
    // No deadline for a whole answer: results stream for as long as they take.
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .user_agent(concat!("shirabe/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(|cause| Failure::Connection(format!("no connection can be made: {cause}")))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn only_web_addresses_are_servers() {
        for good in ["http://localhost:8000", "https://bi.example.com/shirabe/"] {
            assert!(base(good).is_some(), "{good}");
        }
        for bad in ["localhost:8000", "ftp://example.com", "bi.example.com", ""] {
            assert!(base(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_key_is_sent_and_names_are_escaped() {
        let connection = Connection {
            server: Some("https://bi.example.com/base/".to_owned()),
            api_key: Some("shk_secret".into()),
            data_dir: None,
        };
        let client = Client::remote("https://bi.example.com/base/", &connection).unwrap();
        let request = client.request(reqwest::Method::GET, &["datasets", "a/b 売"]).build().unwrap();
        assert_eq!(request.url().path(), "/base/api/datasets/a%2Fb%20%E5%A3%B2");
        assert_eq!(request.headers()["authorization"], "Bearer shk_secret");
        let secret = client.token.as_ref().unwrap();
        assert!(!format!("{client:?}").contains(secret.expose_secret()));
    }
}

//! Processes that serve: ours as people run it, and the peer.
#![expect(clippy::disallowed_methods, reason = "what is measured runs in a process of its own")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use shirabe::data_folder::RunningServer;
use shirabe_benches::{Outcome, THREADS, argument};

use super::client::Client;

/// How long a server may take to answer for the first time.
const START_TRIES: u32 = 600;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A process that serves on `address` until this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    pub(super) address: SocketAddr,
    /// What its callers send as `Authorization: Bearer`.
    pub(super) token: String,
}

impl Server {
    /// `shirabe serve` on a data folder, with a user and an API key as people have them.
    pub(super) async fn shirabe(folder: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        let program = program()?;
        let mut command = Command::new(&program);
        command.arg("serve").env("DATA_DIR", folder).env("API_HOST", "127.0.0.1");
        // One call after the other from one user is what a benchmark is; a rate limit is for people. The log
        // stays as it is by default: it is a part of what an answer costs.
        command.env("API_PORT", free_port()?.to_string()).env("RATE_LIMIT_ENABLED", "false");
        command.envs(settings.iter().copied());
        // Where the server is, and the token by which its operator makes a user. An earlier server was killed
        // and left its own.
        let announcement = folder.join("run/server.json");
        if announcement.exists() {
            fs::remove_file(&announcement)?;
        }
        let process = command.stdout(Stdio::null()).stderr(log(folder)?).spawn();
        let process = process.map_err(|cause| format!("`{}`: {cause}", program.display()))?;
        let mut server =
            Self { process, address: SocketAddr::from(([127, 0, 0, 1], 0)), token: String::new() };
        let running: RunningServer = loop_until(|| {
            let text = fs::read(&announcement).ok()?;
            serde_json::from_slice(&text).ok()
        })
        .await
        .ok_or("the server did not start; see server.log in its data folder")?;
        server.address = running.url.trim_start_matches("http://").parse()?;
        server.token = running.token;
        server.token = server.key_of_a_user().await?;
        Ok(server)
    }

    /// Runs a command of the program to its end.
    pub(super) fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Outcome<()> {
        let mut command = Command::new(program()?);
        let output = command.args(arguments).envs(settings.iter().copied()).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }

    /// A Python program of `benches/peers`, which listens on the port it is given.
    pub(super) async fn peer(peers: &Path, script: &str, arguments: &[&str]) -> Outcome<Self> {
        let port = free_port()?;
        let mut command = Command::new(peers.join("python3"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script));
        command.args(["--port", &port.to_string(), "--threads", &THREADS.to_string()]).args(arguments);
        let process = command.stdout(Stdio::null()).spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Self { process, address, token: String::new() };
        loop_until(|| std::net::TcpStream::connect(address).ok()).await.ok_or("the peer did not start")?;
        Ok(server)
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> Outcome<Client> {
        Client::connect(self.address, &self.token).await
    }

    /// Bytes of the process that are in RAM.
    pub(super) fn memory(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        Ok(kib * 1024)
    }

    /// The value of a metric without labels.
    pub(super) async fn metric(&self, client: &mut Client, name: &str) -> Outcome<f64> {
        let answer = client.get("/metrics").await?;
        let text = String::from_utf8(answer.body)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.ok_or_else(|| format!("no metric `{name}`"))?.parse()?)
    }

    async fn key_of_a_user(&self) -> Outcome<String> {
        let (email, password) = ("bench@example.com", "Correct-Horse-7");
        let mut client = self.connect().await?;
        let user = json!({ "email": email, "name": "bench", "password": password, "role": "admin" });
        // From the second server on a folder on, the user is there; if not, signing in fails.
        let _ = client.json("/api/users", &user).await;
        let signed_in =
            client.json("/api/auth/login", &json!({ "email": email, "password": password })).await?;
        let token = signed_in["data"]["access_token"].as_str().ok_or("no token")?;
        let mut client = Client::connect(self.address, token).await?;
        let key = client.json("/api/keys", &json!({ "name": "bench", "scope": "full" })).await?;
        Ok(key["data"]["secret"].as_str().ok_or("no key")?.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours, and a failure means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The one that is named, or else the one that was built together with this program.
fn program() -> Outcome<PathBuf> {
    match argument("--server") {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(std::env::current_exe()?.with_file_name("shirabe")),
    }
}

fn log(folder: &Path) -> Outcome<fs::File> {
    Ok(fs::File::create(folder.join("server.log"))?)
}

/// A port that nobody listens on at this moment.
fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

async fn loop_until<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..START_TRIES {
        if let Some(found) = found() {
            return Some(found);
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    None
}

//! A server that is killed with work in its hands.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, RequestBuilder};
use serde_json::Value;
use shirabe::data_folder::RunningServer;

use super::csv::{self, Rows};
use super::folder::Folder;

/// Rows of a file that takes long enough to be interrupted.
const MANY: i64 = 100_000;

/// A server in a process of its own; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(super) announced: RunningServer,
    client: reqwest::Client,
}

impl Server {
    /// Starts `command` and waits until it serves. `view` is where this process sees what the server
    /// sees as `/`, given its process id.
    pub(crate) fn start(mut command: Command, data: &Path, view: impl FnOnce(u32) -> String) -> Self {
        // A port that was free a moment ago: the system hands out others first.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        command.env("API_PORT", port.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut heard, mut line) = (String::new(), String::new());
        while !line.contains("\"serving\"") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it served: {heard}");
            heard.push_str(&line);
        }
        // Nobody reads on, and the server must not wait for somebody who does.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let announced = view(child.id()) + data.join("run/server.json").to_str().unwrap();
        let announced = serde_json::from_slice(&std::fs::read(announced).unwrap()).unwrap();
        Self { child, announced, client: reqwest::Client::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.announced.url);
        self.client.get(url).bearer_auth(&self.announced.token)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.announced.url);
        self.client.post(url).bearer_auth(&self.announced.token)
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended already, which the wait tells.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The answer's status and its JSON.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

fn serve(folder: &Folder) -> Server {
    Server::start(folder.command(&["serve"]), &folder.data(), |_| String::new())
}

fn spooled(folder: &Folder) -> u64 {
    let entries = std::fs::read_dir(folder.data().join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Waits for `condition`, looking again and again, for a minute at most.
pub(crate) async fn until(condition: impl Fn() -> bool + Send + Sync) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let holds = async {
        while !condition() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), holds).await.expect("it never came to that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_during_an_upload_leaves_nothing() {
    let folder = Folder::new();
    let mut server = serve(&folder);
    // The first half of a file, and then nothing for ever.
    let half = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 1 << 20]))]);
    let body = Body::wrap_stream(half.chain(futures::stream::pending()));
    let form = Form::new().text("name", "t").part("file", Part::stream(body).file_name("t.csv"));
    let upload = shirabe::tasks::spawn(server.post("/api/datasets").multipart(form).send());
    until(|| spooled(&folder) > 0).await;
    server.kill();
    assert!(upload.await.unwrap().is_err(), "an answer to half an upload");
    assert!(spooled(&folder) > 0, "the kill came before the end");

    let again = serve(&folder);
    assert_eq!(spooled(&folder), 0, "what a former process left is gone at the start");
    drop(again);
    let service = folder.open();
    assert!(service.find("t").await.is_none());
    service.check().await;
}

/// The import is held where its first file is whole and has no name yet, so that the kill is sure to come
/// in the middle of it.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_during_an_import_leaves_the_old_version() {
    let folder = Folder::new();
    let (first, second) = (file(&folder, 1), file(&folder, 2));
    let id = {
        let server = serve(&folder);
        let (status, created) = answer(server.post("/api/datasets").multipart(form(&first).await)).await;
        assert_eq!(status, 201, "{created}");
        created["data"]["dataset_id"].as_str().unwrap().to_owned()
    };
    let mut held = folder.command(&["serve"]);
    held.env("FAILPOINTS", "object.synced=pause");
    let mut server = Server::start(held, &folder.data(), |_| String::new());
    let path = format!("/api/datasets/{id}/reimport");
    let request = server.post(&path).header("prefer", "respond-async").multipart(form(&second).await);
    let (status, accepted) = answer(request).await;
    assert_eq!((status, &accepted["data"]["state"]), (202, &Value::from("running")), "{accepted}");
    until(|| staged(&folder.data().join("objects"))).await;
    server.kill();

    let again = serve(&folder);
    let (status, answer) =
        answer(again.post("/api/query").json(&serde_json::json!({ "sql": "select count(*) as n from t" })))
            .await;
    assert_eq!(status, 200, "{answer}");
    drop(again);
    assert_eq!(spooled(&folder), 0);
    let service = folder.open();
    let (_, rows) = service.find("t").await.unwrap();
    assert_eq!(rows, Rows::of(1, MANY), "the old version is in force");
    service.check().await;
    service.collect().await;
}

fn file(folder: &Folder, generation: i64) -> std::path::PathBuf {
    csv::write(folder.root.path(), generation, MANY, false)
}

pub(super) async fn form(file: &Path) -> Form {
    Form::new().text("name", "t").file("file", file).await.unwrap()
}

/// Whether a file that has not got its name yet is anywhere below `folder`.
#[cfg(feature = "failpoints")]
fn staged(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        path.to_string_lossy().contains(".tmp-") || (path.is_dir() && staged(&path))
    })
}

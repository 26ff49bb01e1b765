//! A replica dies by SIGKILL while it imports; the other one goes on, and nothing is lost that was acknowledged.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process::Command;
use std::time::Instant;

use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::Shared;
use crate::crash::folder::Folder;
use crate::crash::server::{Server, answer};

const KILLS: u64 = 12;
/// Rows of a file; all of them hold its generation.
const ROWS: u64 = 20_000;

/// Processes of the program, each with a folder of its own.
impl Shared {
    fn command(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = folder.command(arguments);
        command.envs(self.settings());
        command
    }

    fn serve(&self, folder: &Folder) -> Server {
        Server::start(self.command(folder, &["serve"]), &folder.data(), |_| String::new())
    }
}

fn form(generation: u64) -> Form {
    let rows: String = (0..ROWS).map(|row| format!("{row},{generation}\n")).collect();
    let part = Part::text(format!("row,generation\n{rows}")).file_name("t.csv");
    Form::new().text("name", "t").part("file", part)
}

/// The generation that a replica answers with; it must be the only one, and whole.
async fn generation(server: &Server) -> u64 {
    let sql = "select min(generation), max(generation), count(*) from t";
    let (status, reply) = answer(server.post("/api/query").json(&json!({ "sql": sql }))).await;
    assert_eq!(status, 200, "{reply}");
    let [least, most, rows] = [0, 1, 2].map(|at| reply["data"]["rows"][0][at].as_u64().unwrap());
    assert_eq!((least, rows), (most, ROWS), "{reply}");
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_loses_nothing_that_it_acknowledged() {
    let Some(shared) = Shared::new().await else { return };
    let folders = [Folder::new(), Folder::new()];
    let mut servers = [shared.serve(&folders[0]), shared.serve(&folders[1])];
    let (status, created) = answer(servers[0].post("/api/datasets").multipart(form(1))).await;
    assert_eq!(status, 201, "{created}");
    let path = format!("/api/datasets/{}/reimport", created["data"]["dataset_id"].as_str().unwrap());
    let started = Instant::now();
    let (status, reply) = answer(servers[1].post(&path).multipart(form(2))).await;
    assert_eq!(status, 200, "{reply}");
    // A little longer than an import takes, so that some come through.
    let longest = started.elapsed() * 12 / 10;

    let (mut in_force, mut cut_short) = (2, 0);
    for kill in 0..KILLS {
        let (killed, other) = if kill % 2 == 0 { (0, 1) } else { (1, 0) };
        let next = kill + 3;
        let import = servers[killed].post(&path).multipart(form(next)).send();
        let import = shirabe::tasks::spawn(async move {
            match import.await {
                Ok(reply) => Some(reply.status().as_u16()),
                Err(_) => None,
            }
        });
        let moment = RandomState::new().build_hasher().finish() % 1000;
        let moment = longest * u32::try_from(moment).unwrap() / 1000;
        // Nothing to wait for: the moment itself is what is tried.
        let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
        servers[killed].kill();
        let acknowledged = import.await.unwrap();
        cut_short += u32::from(acknowledged.is_none());

        let found = generation(&servers[other]).await;
        let allowed = match acknowledged {
            Some(200) => vec![next],
            Some(status) => panic!("an import that nobody disturbed ended with {status}"),
            None => vec![in_force, next],
        };
        assert!(allowed.contains(&found), "{found}, expected one of {allowed:?}: killed after {moment:?}");
        in_force = found;
        // The one that is started again reads what the other one saw.
        servers[killed] = shared.serve(&folders[killed]);
        assert_eq!(generation(&servers[killed]).await, in_force);
    }
    assert!(cut_short > 0, "no kill came before the end of its import");

    let last = KILLS + 3;
    let (status, reply) = answer(servers[0].post(&path).multipart(form(last))).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(generation(&servers[1]).await, last);
    drop(servers);
    for arguments in [["check"], ["gc"], ["check"]] {
        let outcome = shared.command(&folders[0], &arguments).status().unwrap();
        assert!(outcome.success(), "{arguments:?}: {outcome}");
    }
}

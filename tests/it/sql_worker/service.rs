//! The service as people run it, with `SQL_ISOLATION=worker`.

use serde_json::json;

use super::has_ended;
use crate::crash::folder::Folder;
use crate::crash::server::{Server, answer, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_answers_through_workers_that_end_with_it() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve"]);
    command.env("SQL_ISOLATION", "worker");
    let mut server = Server::start(command, &folder.data(), |_| String::new());
    let workers = children(server.id());
    let (_, detail) = answer(server.get("/api/health/detail")).await;
    let health = &detail["data"]["sql_workers"];
    assert_eq!(health["count"], workers.len(), "{detail}");
    assert_eq!((&health["busy_count"], &health["lost_count"]), (&json!(0), &json!(0)));

    let ask = |sql: &str| answer(server.post("/api/query").json(&json!({ "sql": sql })));
    let (status, reply) = ask("select 6 * 7 as n").await;
    assert_eq!((status, &reply["data"]["rows"]), (200, &json!([[42]])), "{reply}");
    let (_, again) = ask("select 6 * 7 as n").await;
    assert_eq!(again["data"]["rows"], json!([[42]]), "{again}");
    // A plan that was kept here would be one that was made here; results are kept, by the text of the statement.
    let (_, detail) = answer(server.get("/api/health/detail")).await;
    let caches = &detail["data"]["caches"];
    assert_eq!((&caches["plans"]["entries"], &caches["results"]["hits"]), (&json!(0), &json!(1)), "{detail}");
    let (status, reply) = ask("select\n 1 + 'x' as n").await;
    assert_eq!((status, &reply["error"]["code"]), (400, &json!("INVALID_SQL")), "{reply}");

    server.kill();
    until(|| workers.iter().copied().all(has_ended)).await;
}

/// The processes that `parent` has started.
fn children(parent: u32) -> Vec<u32> {
    let line = format!("PPid:\t{parent}");
    let of_parent = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        status.is_ok_and(|status| status.lines().any(|found| found == line))
    };
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).filter(of_parent).collect()
}

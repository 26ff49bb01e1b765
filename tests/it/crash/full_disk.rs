//! A disk without room: a small tmpfs that only the server sees, mounted in namespaces of its own. Where
//! the system refuses those, a limit on the size of files stands in, which fails the same writes.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::csv;
use super::folder::{Folder, program};
use super::server::{Server, answer, form};

/// Rows of a file that fits.
const FEW: i64 = 100;
/// Rows of a file that does not: some 4 MB, and half of that as Parquet.
const MANY: i64 = 200_000;

const DISK_BYTES: u64 = 12 << 20;
/// What is left free: enough for metadata, not for the many rows.
const LEFT_BYTES: u64 = 256 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_the_import_and_changes_nothing() {
    if can_mount() { on_a_small_disk().await } else { under_a_limit().await }
}

async fn on_a_small_disk() {
    let folder = Folder::new();
    let (few, many) = (files(&folder).0, files(&folder).1);
    let disk = folder.root.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size={DISK_BYTES} tmpfs \"$0\" && exec \"$@\"");
    let server =
        started_by(&["unshare", "-rm", "sh", "-c", &mount, disk.to_str().unwrap()], &disk.join("data"));
    // What the server sees below its root.
    let ballast = format!("/proc/{}/root{}", server.id(), disk.join("ballast").display());

    let id = create(&server, &few).await;
    fill(&ballast);
    refuses(&server, &id, &many).await;
    assert_eq!(rows(&server).await, json!(FEW + 1), "the old version stays in force");
    clean(&server).await;

    // Without any room at all not even metadata can be written.
    fill_to(&ballast, 0);
    refuses(&server, &id, &few).await;
    refuses_upload(&server, &id, &few).await;
    assert_eq!(rows(&server).await, json!(FEW + 1));

    std::fs::remove_file(&ballast).unwrap();
    let (status, replaced) = replace(&server, &id, &many).await;
    assert_eq!(status, 200, "the same import, by the same server, once there is room: {replaced}");
    assert_eq!(rows(&server).await, json!(MANY + 2));
    clean(&server).await;
}

async fn under_a_limit() {
    let folder = Folder::new();
    let (few, many) = files(&folder);
    // Blocks of 512 bytes; the signal that would end the process is ignored, so that the write fails.
    let limit = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
    let server = started_by(&["sh", "-c", limit, "sh"], &folder.data());
    let id = create(&server, &few).await;
    refuses(&server, &id, &many).await;
    assert_eq!(rows(&server).await, json!(FEW + 1), "the old version stays in force");
    clean(&server).await;
    let (status, replaced) = replace(&server, &id, &few).await;
    assert_eq!(status, 200, "{replaced}");
}

#[expect(clippy::disallowed_methods, reason = "whether the system lets us is seen by trying")]
fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// A server on `data`, started by another command.
#[expect(clippy::disallowed_methods, reason = "the server runs in a world with a small disk")]
fn started_by(starter: &[&str], data: &Path) -> Server {
    let itself = program(data);
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(itself.get_program()).arg("serve").env_clear();
    command.envs(itself.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Server::start(command, data, |id| format!("/proc/{id}/root"))
}

fn files(folder: &Folder) -> (std::path::PathBuf, std::path::PathBuf) {
    let write = |generation, rows| csv::write(folder.root.path(), generation, rows, false);
    (write(1, FEW), write(2, MANY))
}

fn fill(ballast: &str) {
    fill_to(ballast, LEFT_BYTES);
}

/// Writes until there is no room, and takes `left` bytes back.
fn fill_to(ballast: &str, left: u64) {
    let mut file = std::fs::File::options().create(true).append(true).open(ballast).unwrap();
    let page = [0xAA; 4096];
    while file.write_all(&page).is_ok() {}
    let full = file.metadata().unwrap().len();
    file.set_len(full - left).unwrap();
}

async fn create(server: &Server, file: &Path) -> String {
    let (status, created) = answer(server.post("/api/datasets").multipart(form(file).await)).await;
    assert_eq!(status, 201, "{created}");
    created["data"]["dataset_id"].as_str().unwrap().to_owned()
}

async fn replace(server: &Server, id: &str, file: &Path) -> (u16, Value) {
    // By path, so that it is not the upload that finds the disk full.
    let body = json!({ "path": file });
    answer(server.post(&format!("/api/datasets/{id}/reimport")).json(&body)).await
}

async fn refuses(server: &Server, id: &str, file: &Path) {
    full(replace(server, id, file).await);
}

/// A small file: while a large one is still being sent, the answer and the end of the connection race.
async fn refuses_upload(server: &Server, id: &str, file: &Path) {
    let upload = server.post(&format!("/api/datasets/{id}/reimport")).multipart(form(file).await);
    full(answer(upload).await);
}

#[track_caller]
fn full((status, refused): (u16, Value)) {
    assert_eq!((status, &refused["error"]["code"]), (507, &json!("STORAGE_FULL")), "{refused}");
}

async fn rows(server: &Server) -> Value {
    let query = server.post("/api/query").json(&json!({ "sql": "select count(*) as n from t" }));
    let (status, answer) = answer(query).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"]["rows"][0][0].clone()
}

async fn clean(server: &Server) {
    let (status, checked) = answer(server.post("/api/admin/check").json(&json!({}))).await;
    assert_eq!((status, &checked["data"]["findings"]), (200, &json!([])), "{checked}");
}

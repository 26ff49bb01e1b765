//! The process ends at every step of a write, each time that an import comes by it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use shirabe::dataset::import::ImportOptions;
use shirabe::write_steps::WRITE_STEPS;

use super::csv::{self, Rows};
use super::folder::Folder;

/// Rows of a file, besides one for each generation.
const ROWS: i64 = 60;

/// The file has rows of three days, each day gets a file of its own, and one row goes to the quarantine: an import by way
/// of all steps.
fn options() -> ImportOptions {
    ImportOptions {
        partition_column: Some("day".to_owned()),
        sort_column: Some("amount".to_owned()),
        bad_rows_max: Some(5),
        ..ImportOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_leaves_the_old_version_or_the_new_one() {
    let folder = Folder::new();
    let first = csv::write(folder.root.path(), 1, ROWS, true);
    folder.open().import(&first, "t", options()).await.unwrap();
    let mut generation = 1;
    for step in WRITE_STEPS {
        let mut crashes = 0;
        // Until the import comes by less often than that, and so ends well.
        while crash_at(&folder, step, crashes, &mut generation).await {
            crashes += 1;
        }
        assert!(crashes > 0, "no import comes by `{step}`");
    }
}

/// Imports with a crash when the step is reached after it was passed `passed` times; whether it was.
async fn crash_at(folder: &Folder, step: &str, passed: usize, generation: &mut i64) -> bool {
    let next = *generation + 1;
    let file = csv::write(folder.root.path(), next, ROWS, true);
    let action = if passed == 0 { "return".to_owned() } else { format!("{passed}*off->return") };
    let mut command = folder.import_command(&file, "t");
    let status = command.env("FAILPOINTS", format!("{step}={action}")).status().unwrap();
    let at = format!("at `{step}`, passed {passed} times: {status}");

    let service = folder.open();
    let (record, rows) = service.find("t").await.unwrap();
    if status.success() {
        assert_eq!(rows, Rows::of(next, ROWS), "{at}");
        *generation = next;
        service.collect().await;
        return false;
    }
    assert!(status.signal().is_some(), "it ended by itself {at}");
    assert!([Rows::of(*generation, ROWS), Rows::of(next, ROWS)].contains(&rows), "{rows:?} {at}");
    service.check().await;
    drop(service);

    check_again(folder, &file, &at);
    let service = folder.open();
    let (after, rows) = service.find("t").await.unwrap();
    assert_eq!((after.current.number, rows), (record.current.number + 1, Rows::of(next, ROWS)), "{at}");
    service.collect().await;
    *generation = next;
    true
}

/// The commands of somebody who comes back after the crash.
fn check_again(folder: &Folder, file: &Path, at: &str) {
    for mut command in [folder.command(&["check"]), folder.import_command(file, "t")] {
        let status = command.status().unwrap();
        assert!(status.success(), "{status} {at}: {command:?}");
    }
}

/// A step that is not in the list is a step at which no test crashes.
#[test]
fn every_step_in_the_source_is_walked() {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let steps = text.split("write_step!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(steps.map(str::to_owned));
            let bare = text.contains("fail_point!(") && !path.ends_with("src/write_steps.rs");
            assert!(!bare, "{}: expected `write_step!`, found a fail point", path.display());
        }
    }
    found.sort();
    let mut listed: Vec<_> = WRITE_STEPS.iter().map(|step| (*step).to_owned()).collect();
    listed.sort();
    assert_eq!(found, listed, "each step stands in the source once, and in the list");
}

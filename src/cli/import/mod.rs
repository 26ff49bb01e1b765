//! `shirabe import`: files in, datasets out.
//!
//! Why three files: what to import is decided here, [`send`] takes it to the server by path or by bytes,
//! [`watch`] follows it to its end. It must not know how a file is read; the server does that.

mod send;
mod watch;

use std::path::{Path, PathBuf};
use std::pin::pin;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use send::Cargo;
pub(super) use send::{absolute, file_form, in_s3, readable, unreadable};

use super::client::Client;
use super::failure::Failure;
use super::out::Out;
use super::read_options::{ReadArgs, ReadOptions};
use super::{inspect, interrupted, show};
use crate::file_name::{self, ENDINGS};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Files, folders of which every supported file becomes a dataset, or s3://bucket/key, where a key that ends in
    /// / stands for all below it, as one dataset
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Name of the dataset; by default the file's, without its endings
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    /// Split the files by the days of this date column; '' ends the split of a dataset
    #[arg(long, value_name = "COLUMN")]
    partition_by: Option<String>,
    /// Sort the rows by this column; '' ends the order of a dataset
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<String>,
    /// Wrong rows that may be set aside before the import fails; 0 by default
    #[arg(long, value_name = "COUNT")]
    max_bad_rows: Option<u64>,
    /// Make a new version of the dataset that has this name; what is not said here stays as it was
    #[arg(long)]
    replace: bool,
    /// With --replace: go on when columns have changed
    #[arg(long)]
    force: bool,
    /// Only show what would be found and, with --replace, what would change
    #[arg(long)]
    dry_run: bool,
}

/// Everything about an import but its bytes, as the API takes it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ImportOptions {
    #[serde(flatten)]
    read: ReadOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bad_rows: Option<u64>,
    force: bool,
}

impl ImportOptions {
    /// Options that only say how to read.
    pub(super) fn reading(read: ReadOptions) -> Self {
        Self { read, partition_column: None, sort_column: None, max_bad_rows: None, force: false }
    }
}

pub(super) async fn run(args: ImportArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let files = files(&args.paths)?;
    if args.name.is_some() && files.len() > 1 {
        let message = format!("`--name` names one dataset, but there are {} files", files.len());
        return Err(Failure::Usage(message));
    }
    let options = ImportOptions {
        read: args.read.options()?,
        partition_column: args.partition_by,
        sort_column: args.sort_by,
        max_bad_rows: args.max_bad_rows,
        force: args.force,
    };
    let mut interrupt = pin!(interrupted());
    let several = files.len() > 1;
    for file in files {
        let cargo = Cargo { file: &file, name: args.name.as_deref(), options: &options };
        let done = if args.dry_run {
            preview(cargo, args.replace, client, out).await
        } else {
            let imported = send::import(cargo, args.replace, interrupt.as_mut(), client, out).await;
            imported.and_then(|result| summarise(cargo, &result, out))
        };
        done.map_err(|failure| if several { failure.with_file(&file) } else { failure })?;
    }
    Ok(())
}

/// Shows what would be found and, for a new version, what would change.
async fn preview(cargo: Cargo<'_>, replace: bool, client: &Client, out: &mut Out) -> Result<(), Failure> {
    inspect::show_file(client, cargo.file, cargo.options, out).await?;
    if replace { show_changes(cargo, client, out).await } else { Ok(()) }
}

/// Shows what a new version would change, if there is a dataset that it would go to.
async fn show_changes(cargo: Cargo<'_>, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let Some(run) = send::dry_run(cargo, client, out).await? else {
        out.line(format_args!("\nno dataset `{}` yet: this would be its first version", cargo.title()))?;
        return Ok(());
    };
    out.line(format_args!(
        "\na new version of `{}` would have {} rows, and {} set aside",
        cargo.title(),
        show::text(&run["new_row_count"]),
        show::text(&run["bad_row_count"]),
    ))?;
    match run["has_schema_changes"].as_bool() {
        Some(true) => changes(&run["changes"], out),
        _ => out.line("its columns would stay as they are"),
    }
}

/// Shows how columns would change.
fn changes(changes: &Value, out: &mut Out) -> Result<(), Failure> {
    let changes = changes.as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = [("CHANGE", "type"), ("COLUMN", "column"), ("WAS", "old_type"), ("IS", "new_type")];
    show::list(&columns, changes, out)
}

/// What was found and made, so that a wrong guess is seen at once.
fn summarise(cargo: Cargo<'_>, result: &Value, out: &mut Out) -> Result<(), Failure> {
    if result["import_status"] == "pending_confirmation" {
        changes(&result["schema_changes"], out)?;
        return Err(Failure::Api(super::failure::ApiFailure {
            code: "CONFLICT".to_owned(),
            message: format!(
                "the columns of `{}` would change: nothing was written; `--force` goes on",
                cargo.title()
            ),
            details: Value::Null,
            statement: None,
        }));
    }
    out.line(format_args!(
        "{}: {} rows, {} columns, version {} ({})",
        show::text(&result["name"]),
        show::text(&result["row_count"]),
        show::text(&result["column_count"]),
        show::text(&result["version"]),
        show::text(&result["dataset_id"]),
    ))?;
    inspect::found(None, result, out)
}

/// The files that the paths stand for, in the order of their names.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if in_s3(path).is_some() {
            files.push(path.clone());
            continue;
        }
        let failed = |cause: std::io::Error| unreadable(path, &cause);
        if std::fs::metadata(path).map_err(failed)?.is_file() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            if entry.is_file() && is_supported(&entry) {
                inside.push(entry);
            }
        }
        if inside.is_empty() {
            let endings = ENDINGS.join(", ");
            let path = path.display();
            return Err(Failure::File(format!(
                "`{path}` holds no file that can be imported: expected {endings}"
            )));
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

fn is_supported(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && ENDINGS.contains(&file_name::ending(&name).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_supported_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.CSV", "a.csv.zst", "notes.md", ".hidden.csv", "c.parquet"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = files(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = found.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.csv.zst", "b.CSV", "c.parquet"]);

        let empty = tempfile::tempdir().unwrap();
        let failure = files(&[empty.path().to_owned()]).unwrap_err();
        assert!(failure.to_string().contains("holds no file"), "{failure}");
        assert!(files(&[PathBuf::from("/nowhere/a.csv")]).is_err());
        let there = PathBuf::from("s3://sales/2024/");
        assert_eq!(files(std::slice::from_ref(&there)).unwrap(), [there], "the server knows what is there");
    }
}

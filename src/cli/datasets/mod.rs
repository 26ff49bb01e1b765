//! `shirabe datasets`: list, look at and change datasets.
//!
//! Why apart from `look`: here are the commands and those that change something, there are the views.
//! It must not know what a dataset is made of beyond what the API shows.

mod look;

use std::io::{BufRead as _, IsTerminal as _};

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::{ApiFailure, Failure};
use super::out::Out;
use super::show;
use crate::error::Error;
use crate::ids::DatasetId;
use crate::tasks;

#[derive(Debug, Subcommand)]
pub(super) enum DatasetsCommand {
    /// List datasets, newest first
    List {
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one dataset and its columns
    Show {
        dataset: String,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// List the versions of a dataset, newest first
    Versions {
        dataset: String,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the first rows
    Preview {
        dataset: String,
        /// How many, 1 to 1000
        #[arg(long, default_value_t = 20)]
        limit: u64,
        /// The dataset as it was: a version number or an RFC 3339 time
        #[arg(long, value_name = "WHEN")]
        as_of: Option<String>,
    },
    /// Show what the columns hold: null share, distinct values, range, most frequent values
    Profile {
        dataset: String,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what differs between two versions
    Compare {
        dataset: String,
        from: u64,
        to: u64,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the rows that an import set aside
    Quarantine {
        dataset: String,
        /// By default the newest version
        #[arg(long)]
        version: Option<u64>,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an old version the newest again
    Restore { dataset: String, version: u64 },
    /// Give a dataset another name
    Rename { dataset: String, name: String },
    /// Delete a dataset with all its versions
    Delete {
        dataset: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl DatasetsCommand {
    /// What `shirabe datasets` alone means.
    pub(super) const LIST: Self = Self::List { json: false };
}

pub(super) async fn run(command: DatasetsCommand, client: &Client, out: &mut Out) -> Result<(), Failure> {
    use DatasetsCommand as C;
    match command {
        C::List { json } => look::list(client, json, out).await,
        C::Show { dataset, json } => look::show(client, &find(client, &dataset).await?, json, out).await,
        C::Versions { dataset, json } => {
            look::versions(client, &find(client, &dataset).await?, json, out).await
        }
        C::Preview { dataset, limit, as_of } => {
            let id = find(client, &dataset).await?;
            look::preview(client, &id, limit, as_of.as_deref(), out).await
        }
        C::Profile { dataset, json } => {
            look::profile(client, &find(client, &dataset).await?, json, out).await
        }
        C::Compare { dataset, from, to, json } => {
            look::compare(client, &find(client, &dataset).await?, (from, to), json, out).await
        }
        C::Quarantine { dataset, version, json } => {
            look::quarantine(client, &find(client, &dataset).await?, version, json, out).await
        }
        C::Restore { dataset, version } => restore(client, &dataset, version, out).await,
        C::Rename { dataset, name } => {
            let id = find(client, &dataset).await?;
            client.put::<Value>(&["datasets", &id], &json!({ "name": name })).await.map(drop)
        }
        C::Delete { dataset, yes } => delete(client, &dataset, yes, out).await,
    }
}

async fn restore(client: &Client, dataset: &str, version: u64, out: &mut Out) -> Result<(), Failure> {
    let id = find(client, dataset).await?;
    let path = ["datasets", &id, "versions", &version.to_string(), "restore"];
    let restored: Value = client.post(&path, &json!({})).await?;
    out.line(format_args!(
        "version {version} is in force again, as version {}",
        show::text(&restored["version"])
    ))
}

async fn delete(client: &Client, dataset: &str, yes: bool, out: &mut Out) -> Result<(), Failure> {
    let id = find(client, dataset).await?;
    if !yes && !confirmed(dataset, out).await? {
        return Err(Failure::Interrupted);
    }
    client.delete(&["datasets", &id]).await
}

/// Asks a person to repeat the name. A script cannot be asked and has to say `--yes`.
async fn confirmed(dataset: &str, out: &mut Out) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Api(ApiFailure {
            code: "CONFLICT".to_owned(),
            message: format!("`{dataset}` would be deleted with all its versions: confirm with --yes"),
            details: Value::Null,
            statement: None,
        }));
    }
    out.remark(format_args!("`{dataset}` goes with all its versions. Type its name to delete it:"));
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let line = tasks::blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Error::internal)?;
        Ok::<_, Error>(line)
    });
    Ok(line.await.map_err(Failure::Local)?.trim() == dataset)
}

/// The id of a dataset that is given by name or id.
pub(super) async fn find(client: &Client, dataset: &str) -> Result<String, Failure> {
    if DatasetId::parse(dataset).is_ok() {
        return Ok(dataset.to_owned());
    }
    let id = find_any(client, dataset).await?;
    id.ok_or_else(|| Failure::Api(ApiFailure::not_found(format!("no dataset `{dataset}`"))))
}

/// The id of the dataset of this name, if there is one.
pub(super) async fn find_any(client: &Client, name: &str) -> Result<Option<String>, Failure> {
    let request = client.request(Method::GET, &["datasets"]).query(&[("name", name)]);
    let found: Vec<Value> = client.fetch(request).await?;
    Ok(found.first().and_then(|found| found["dataset_id"].as_str()).map(str::to_owned))
}

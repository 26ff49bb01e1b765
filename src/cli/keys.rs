//! `shirabe keys`: API keys for programs.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::out::Out;
use super::{show, users};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and print it, once
    Create(CreateArgs),
    /// List keys
    List {
        /// Whose keys, by e-mail address; needed on the data folder itself, where nobody has signed in
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// End a key
    Revoke {
        /// As `keys list` shows it
        key_id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    name: String,
    /// Only for reading and querying
    #[arg(long)]
    read_only: bool,
    /// When it ends by itself, as an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Whose key, by e-mail address; needed on the data folder itself, where nobody has signed in
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
}

pub(super) async fn run(command: KeysCommand, client: &Client, out: &mut Out) -> Result<(), Failure> {
    match command {
        KeysCommand::Create(args) => create(args, client, out).await,
        KeysCommand::List { user, json } => list(user.as_deref(), json, client, out).await,
        KeysCommand::Revoke { key_id } => client.delete(&["keys", &key_id]).await,
    }
}

async fn create(args: CreateArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let body = json!({
        "name": args.name,
        "scope": if args.read_only { "read_only" } else { "full" },
        "expires_at": args.expires_at,
        "user_id": owner(args.user.as_deref(), client).await?,
    });
    let key: Value = client.post(&["keys"], &body).await?;
    out.line(show::text(&key["secret"]))?;
    out.remark("this key is shown once: keep it now");
    Ok(())
}

async fn list(user: Option<&str>, json: bool, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let mut request = client.request(Method::GET, &["keys"]);
    if let Some(owner) = owner(user, client).await? {
        request = request.query(&[("user_id", owner)]);
    }
    let keys: Vec<Value> = client.fetch(request).await?;
    let columns = [
        ("NAME", "name"),
        ("SCOPE", "scope"),
        ("CREATED", "created_at"),
        ("EXPIRES", "expires_at"),
        ("ID", "key_id"),
    ];
    show::list_or_json(&columns, keys, json, out)
}

async fn owner(email: Option<&str>, client: &Client) -> Result<Option<String>, Failure> {
    match email {
        Some(email) => users::find(client, email).await.map(Some),
        None if client.shares_disk() => {
            let message = "whose key? name the user with --user EMAIL";
            Err(Failure::Usage(message.to_owned()))
        }
        None => Ok(None),
    }
}

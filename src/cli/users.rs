//! `shirabe users`: who may sign in. Passwords are asked for or piped in, never given as an argument:
//! arguments are seen by everybody on the machine.

use std::io::{BufRead as _, IsTerminal as _};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::client::Client;
use super::failure::{ApiFailure, Failure};
use super::out::Out;
use super::show;

#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Add a user
    Add(AddArgs),
    /// List all users
    List {
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a user sign in no more; ends their tokens and keys
    Disable { email: String },
    /// Let a disabled user sign in again
    Enable { email: String },
    /// Limit how much of its tables a query of a user may read
    ScanLimit(ScanLimitArgs),
    /// Give a user a new password; ends their tokens
    Passwd(PasswdArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    email: String,
    #[arg(long, value_enum, default_value = "user")]
    role: Role,
    /// By default the part of the address before the @
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(super) struct ScanLimitArgs {
    email: String,
    /// In MiB as they are stored; as the service is set when it is left out
    mb: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct PasswdArgs {
    email: String,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
struct PasswordArgs {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// What was read
    #[arg(skip)]
    read: SecretString,
}

impl UsersCommand {
    /// Reads the password, if the command needs one.
    pub(super) fn ask(&mut self) -> Result<(), Failure> {
        match self {
            Self::Add(AddArgs { password, .. }) | Self::Passwd(PasswdArgs { password, .. }) => {
                password.read = read_password(password.password_stdin)?;
            }
            Self::List { .. } | Self::Disable { .. } | Self::Enable { .. } | Self::ScanLimit(_) => {}
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Admin,
    User,
}

pub(super) async fn run(command: UsersCommand, client: &Client, out: &mut Out) -> Result<(), Failure> {
    match command {
        UsersCommand::Add(args) => add(args, client, out).await,
        UsersCommand::List { json } => list(client, json, out).await,
        UsersCommand::Disable { email } => set(client, &email, &json!({ "disabled": true })).await,
        UsersCommand::Enable { email } => set(client, &email, &json!({ "disabled": false })).await,
        UsersCommand::ScanLimit(ScanLimitArgs { email, mb }) => {
            set(client, &email, &json!({ "scan_mb_max": mb })).await
        }
        UsersCommand::Passwd(args) => {
            let change = json!({ "password": args.password.read.expose_secret() });
            set(client, &args.email, &change).await
        }
    }
}

async fn add(args: AddArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let role = match args.role {
        Role::Admin => "admin",
        Role::User => "user",
    };
    let body = json!({
        "email": args.email,
        "name": args.name.unwrap_or_default(),
        "role": role,
        "password": args.password.read.expose_secret(),
    });
    let user: Value = client.post(&["users"], &body).await?;
    out.line(show::text(&user["id"]))
}

async fn list(client: &Client, json: bool, out: &mut Out) -> Result<(), Failure> {
    let users = client.list(&["users"], &[("all", "true")]).await?;
    let columns =
        [("EMAIL", "email"), ("NAME", "name"), ("ROLE", "role"), ("DISABLED", "disabled"), ("ID", "id")];
    show::list_or_json(&columns, users, json, out)
}

async fn set(client: &Client, email: &str, change: &Value) -> Result<(), Failure> {
    let id = find(client, email).await?;
    client.put::<Value>(&["users", &id], change).await.map(drop)
}

/// The id of the user with exactly this address.
pub(super) async fn find(client: &Client, email: &str) -> Result<String, Failure> {
    let request = client.request(Method::GET, &["users"]).query(&[("q", email), ("limit", "100")]);
    let users: Vec<Value> = client.fetch(request).await?;
    let wanted = email.trim().to_lowercase();
    let user = users.iter().find(|user| user["email"].as_str() == Some(&wanted));
    let id = user.and_then(|user| user["id"].as_str()).map(str::to_owned);
    id.ok_or_else(|| Failure::Api(ApiFailure::not_found(format!("no user `{email}`"))))
}

/// A password from a person who types it twice, or from a pipe.
fn read_password(from_stdin: bool) -> Result<SecretString, Failure> {
    let unreadable = |cause: std::io::Error| Failure::File(format!("the password cannot be read: {cause}"));
    if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
        return Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("no terminal to ask at: use --password-stdin".to_owned()));
    }
    let first = rpassword::prompt_password("Password: ").map_err(unreadable)?;
    let second = rpassword::prompt_password("Again: ").map_err(unreadable)?;
    if first != second {
        return Err(Failure::Usage("the two passwords differ".to_owned()));
    }
    Ok(SecretString::from(first))
}

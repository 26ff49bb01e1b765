//! `shirabe functions`: what a statement may call.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::failure::Failure;
use super::out::Out;
use super::show;

#[derive(Debug, Args)]
pub(super) struct FunctionsArgs {
    /// A part of a name or a description; without it, all
    pattern: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: FunctionsArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let request = client.request(Method::GET, &["functions"]);
    let pattern = args.pattern.unwrap_or_default();
    let functions: Vec<Value> = client.fetch(request.query(&[("q", &pattern)])).await?;
    // A pattern that is a name, or that finds one function, asks for all about it.
    let is_meant = |function: &&Value| functions.len() == 1 || function["name"] == pattern.as_str();
    let mut meant = functions.iter().filter(is_meant).peekable();
    if !args.json && meant.peek().is_some() {
        return meant.try_for_each(|function| details(function, out));
    }
    show::list_or_json(&[("CALL", "signature"), ("KIND", "kind")], functions, args.json, out)
}

/// All about one function.
fn details(function: &Value, out: &mut Out) -> Result<(), Failure> {
    let fields = [
        ("Call", "signature"),
        ("Kind", "kind"),
        ("Also", "aliases"),
        ("Does", "description"),
        ("Since", "since"),
    ];
    show::record(&fields, function, out)?;
    for argument in function["arguments"].as_array().into_iter().flatten() {
        out.line(format_args!(
            "  {}: {}",
            show::text(&argument["name"]),
            show::text(&argument["description"])
        ))?;
    }
    let example = function["example"].as_str().unwrap_or_default();
    // The fences of Markdown are for pages.
    for line in example.lines().filter(|line| !line.starts_with("```")) {
        out.line(line)?;
    }
    Ok(())
}

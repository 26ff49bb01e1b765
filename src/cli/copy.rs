//! `shirabe copy`: a whole installation to other stores, or to a backup and back.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::{Connection, Host, Out};
use crate::config::Config;

/// What the environment says.
const ENVIRONMENT: &str = "env";

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// Where to copy from: a data folder; `env`, what the settings of this process say; or a file of settings, one
    /// `NAME=value` a line
    #[arg(long, value_name = "FOLDER|env|FILE")]
    from: String,
    /// Where to copy to, in the same forms; a folder that is not there is made
    #[arg(long, value_name = "FOLDER|env|FILE")]
    to: String,
    /// Read every object at the target back, and compare it with its checksum
    #[arg(long)]
    verify: bool,
}

pub(super) async fn run(
    args: CopyArgs,
    connection: &Connection,
    host: &dyn Host,
    out: &mut Out,
) -> Result<(), Failure> {
    if connection.server.is_some() || connection.data_dir.is_some() {
        let why = "`copy` works on stores: `--from` and `--to` name them, not `--server` or `--data-dir`";
        return Err(Failure::Usage(why.to_owned()));
    }
    if !matches!(args.from.as_str(), ENVIRONMENT) && !Path::new(&args.from).exists() {
        return Err(Failure::Usage(format!("`--from`: there is no `{}`", args.from)));
    }
    let (from, to) = (side(&args.from)?, side(&args.to)?);
    let copied = host.copy(from, to, args.verify).await.map_err(Failure::Local)?;
    for (what, count) in copied {
        out.line(format_args!("{what:<18} {count}"))?;
    }
    Ok(())
}

/// The settings of one end.
fn side(text: &str) -> Result<Config, Failure> {
    let path = Path::new(text);
    let told = |problems: crate::config::Problems| Failure::Usage(format!("`{text}`: {problems}"));
    if text == ENVIRONMENT {
        return Config::from_env().map_err(told);
    }
    let settings = match path.is_file() {
        true => {
            let lines = fs::read_to_string(path)
                .map_err(|cause| Failure::File(format!("`{text}` cannot be read: {cause}")))?;
            assignments(&lines).map_err(|line| {
                Failure::Usage(format!("`{text}`, line {line}: expected `NAME=value`, or `#` and a remark"))
            })?
        }
        false => HashMap::from([("DATA_DIR".to_owned(), text.to_owned())]),
    };
    Config::from_lookup(&|name| settings.get(name).cloned()).map_err(told)
}

/// What a file of settings says; the number of the first line that says nothing.
fn assignments(text: &str) -> Result<HashMap<String, String>, usize> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let (name, value) = line.split_once('=').ok_or(index + 1)?;
            let value = value.trim();
            let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
            let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
            let name = name.trim();
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            is_name.then(|| (name.to_owned(), value.to_owned())).ok_or(index + 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_settings_are_read() {
        check(
            "A=1\n\n# a remark\nexport B = two words \nC=\"x=y\"\nD=''\n",
            Ok(&[("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]),
        );
        check("A=1\nnonsense\n", Err(2));
        check("A B=1\n", Err(1));

        #[track_caller]
        fn check(text: &str, expected: Result<&[(&str, &str)], usize>) {
            let pairs = |pairs: &[(&str, &str)]| {
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
            };
            assert_eq!(assignments(text), expected.map(pairs));
        }
    }
}

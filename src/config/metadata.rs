//! Where records are kept: in a file of the data folder, or in tables of DynamoDB.

use super::setting::{Reader, Setting};

const STORE: Setting = Setting {
    name: "METADATA_STORE",
    default: None,
    meaning: "`sqlite`, a file in the data folder, or `dynamodb`; without it, `dynamodb` when one of the next three is set",
};
const ENDPOINT: Setting = Setting {
    name: "DYNAMODB_ENDPOINT",
    default: None,
    meaning: "address of a DynamoDB other than Amazon's own in the region, such as `http://localhost:8001`",
};
const REGION: Setting =
    Setting { name: "DYNAMODB_REGION", default: Some("ap-northeast-1"), meaning: "region of the tables" };
const PREFIX: Setting = Setting {
    name: "DYNAMODB_TABLE_PREFIX",
    default: Some("bi_"),
    meaning: "what the names of all tables start with; `shirabe init-tables` makes them",
};

pub(super) const SETTINGS: &[&Setting] = &[&STORE, &ENDPOINT, &REGION, &PREFIX];

/// Longest prefix: the name of a table has 255 characters at most.
const PREFIX_CHARS_MAX: usize = 200;

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataConfig {
    Sqlite,
    DynamoDb(DynamoDbConfig),
}

/// Which tables of which server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamoDbConfig {
    pub endpoint: Option<String>,
    pub region: String,
    pub table_prefix: String,
}

impl MetadataConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Deployments from before there was a choice say where the tables are, and nothing else.
        let means_dynamodb = [&ENDPOINT, &REGION, &PREFIX].iter().any(|setting| reader.is_set(setting.name));
        let is_dynamodb = reader.optional(&STORE, "`sqlite` or `dynamodb`", |text| match text {
            "sqlite" => Some(false),
            "dynamodb" => Some(true),
            _ => None,
        });
        let expected = "an address such as `http://localhost:8001`";
        let endpoint = reader.optional(&ENDPOINT, expected, endpoint);
        let region = reader.required(&REGION, "a region such as `ap-northeast-1`", |text| {
            text.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                .then(|| text.to_owned())
        });
        let expected = "letters, digits, `_`, `-` and `.`, 200 at most";
        let table_prefix = reader.required(&PREFIX, expected, |text| {
            let fits = text.len() <= PREFIX_CHARS_MAX
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
            fits.then(|| text.to_owned())
        });
        let tables = DynamoDbConfig { endpoint: endpoint?, region: region?, table_prefix: table_prefix? };
        Some(if is_dynamodb?.unwrap_or(means_dynamodb) { Self::DynamoDb(tables) } else { Self::Sqlite })
    }
}

/// Scheme, host and perhaps a port.
fn endpoint(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let is_endpoint = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/";
    is_endpoint.then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Problems};

    fn read(values: &[(&str, &str)]) -> Result<MetadataConfig, Problems> {
        let lookup = |name: &str| {
            let found = values.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(&lookup).map(|config| config.metadata)
    }

    #[test]
    fn dynamodb_is_what_says_so_or_where() {
        let tables = |endpoint: Option<&str>, region: &str, prefix: &str| {
            MetadataConfig::DynamoDb(DynamoDbConfig {
                endpoint: endpoint.map(str::to_owned),
                region: region.to_owned(),
                table_prefix: prefix.to_owned(),
            })
        };
        let defaults = tables(None, "ap-northeast-1", "bi_");
        check(&[], MetadataConfig::Sqlite);
        check(&[("METADATA_STORE", "dynamodb")], defaults.clone());
        check(&[("DYNAMODB_REGION", "ap-northeast-1")], defaults);
        check(&[("DYNAMODB_TABLE_PREFIX", "test-")], tables(None, "ap-northeast-1", "test-"));
        let local = ("DYNAMODB_ENDPOINT", "http://localhost:8001/");
        check(&[local], tables(Some("http://localhost:8001"), "ap-northeast-1", "bi_"));
        check(&[local, ("METADATA_STORE", "sqlite")], MetadataConfig::Sqlite);

        #[track_caller]
        fn check(values: &[(&str, &str)], expected: MetadataConfig) {
            assert_eq!(read(values).unwrap(), expected, "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_table_is_refused() {
        check("METADATA_STORE", "postgres", "expected `sqlite` or `dynamodb`");
        check("DYNAMODB_ENDPOINT", "localhost:8001", "expected an address");
        check("DYNAMODB_ENDPOINT", "http://localhost:8001/path", "expected an address");
        check("DYNAMODB_REGION", "Tokyo", "expected a region");
        check("DYNAMODB_TABLE_PREFIX", "bi/", "expected letters");
        check("DYNAMODB_TABLE_PREFIX", &"a".repeat(201), "200 at most");

        #[track_caller]
        fn check(name: &str, value: &str, expected: &str) {
            let problems = read(&[(name, value)]).unwrap_err().to_string();
            assert!(problems.contains(expected) && problems.contains(name), "{problems}");
        }
    }
}

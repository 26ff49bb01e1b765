//! The service over DynamoDB: what requests cost in calls, how it starts, and what it does when DynamoDB does not.
//!
//! `./dev test` starts Amazon's own server for tests and names it in `SHIRABE_DYNAMODB`. Each test has a database
//! of its own. Without the server the tests here say that they did nothing, and in CI they fail. What the ports promise is
//! tested by the contract suite in `src/catalog/store/`.

mod budget;
mod budget_of_transforms;
mod outage;
mod proxy;
mod start;

use shirabe::catalog::store::dynamo::DynamoSettings;
use shirabe::catalog::store::{RecordsPlace, StoreCalls, Stores};
use shirabe::cli::{Host as _, Table};
use shirabe::config::Config;
use shirabe::embedded::Embedded;
use shirabe::ids::random_digits;

use crate::support::TestApp;

/// The address of the server; `None` where nobody has started one.
#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment where the server is")]
pub(crate) fn server() -> Option<String> {
    let found = std::env::var("SHIRABE_DYNAMODB").ok();
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "`SHIRABE_DYNAMODB` is not set: see `./dev test`"
    );
    found
}

/// A region that no other test has: the server keeps a database for each, whatever its name.
pub(crate) fn region() -> String {
    format!("test-{}", &random_digits()[..12])
}

/// Makes the tables of a region, as `shirabe init-tables` does.
pub(crate) async fn make_tables(server: &str, region: &str) -> Vec<Table> {
    let settings = [("DYNAMODB_ENDPOINT", server), ("DYNAMODB_REGION", region)];
    let lookup = |name: &str| {
        let found = settings.iter().find(|(set, _)| *set == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Embedded.init_tables(Config::from_lookup(&lookup).unwrap()).await.unwrap()
}

/// The ports over the tables of a region, with no service around them.
pub(crate) fn stores(server: &str, region: &str) -> Stores {
    let settings = DynamoSettings {
        endpoint: Some(server.to_owned()),
        region: region.to_owned(),
        table_prefix: "bi_".to_owned(),
    };
    RecordsPlace::Tables(settings).open().unwrap().stores().clone()
}

/// The service over the tables of a region, and the calls that it makes.
fn app(server: &str, region: &str) -> (TestApp, StoreCalls) {
    TestApp::over_server(&[("DYNAMODB_ENDPOINT", server), ("DYNAMODB_REGION", region)])
}

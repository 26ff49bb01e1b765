//! What is DynamoDB's own, against a real server. `./dev test` starts Amazon's and names it in `SHIRABE_DYNAMODB`; each
//! test makes tables of its own. Without it the tests here say that they did nothing, and in CI they fail.

use super::{DynamoSettings, DynamoStore};
use crate::catalog::store::contract;
use crate::ids::random_digits;

/// A store with new tables; `None` where nobody has started a server.
async fn store() -> Option<DynamoStore> {
    let store = DynamoStore::new(settings()?);
    store.init().await.unwrap();
    Some(store)
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment where the server is")]
fn settings() -> Option<DynamoSettings> {
    let endpoint = std::env::var("SHIRABE_DYNAMODB").ok();
    assert!(
        endpoint.is_some() || std::env::var("CI").is_err(),
        "`SHIRABE_DYNAMODB` is not set: see `./dev test`"
    );
    Some(DynamoSettings {
        endpoint: Some(endpoint?),
        region: "ap-northeast-1".to_owned(),
        table_prefix: format!("t{}_", &random_digits()[..12]),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(store) = store().await else { return };
    contract::run(&store.stores()).await;
}

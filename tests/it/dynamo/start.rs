//! How a service over DynamoDB begins: `init-tables`, and what keeps it from starting.

use shirabe::error::Error;

use super::proxy::{Proxy, Trouble};
use super::{app, make_tables, region, server};

/// The tables of the contract, which the runbook lists by these names.
const CONTRACT: &[&str] = &[
    "users",
    "datasets",
    "cards",
    "dashboards",
    "dashboard_shares",
    "filter_views",
    "transforms",
    "transform_executions",
    "groups",
    "group_members",
    "audit_logs",
];

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_once_and_made_whole_again() {
    let Some(server) = server() else { return };
    let region = region();
    let first = make_tables(&server, &region).await;
    for table in CONTRACT {
        assert!(first.iter().any(|made| made.name == format!("bi_{table}")), "{table}: {first:?}");
    }
    assert!(first.iter().all(|table| table.done.starts_with("made")), "{first:?}");
    let again = make_tables(&server, &region).await;
    assert!(again.iter().all(|table| table.done.starts_with("there")), "{again:?}");
    let (app, _) = app(&server, &region);
    app.reach_store().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_the_remedy() {
    let Some(server) = server() else { return };
    let region = region();
    let (app, _) = app(&server, &region);
    let message = app.reach_store().await.unwrap_err().to_string();
    assert!(message.contains(&server) && message.contains("`bi_users`"), "{message}");
    assert!(message.contains("shirabe init-tables") && message.contains("DYNAMODB_REGION"), "{message}");
}

/// What DynamoDB says of rights and keys is for the operator, at the start and in the log; a caller only hears that it
/// does not work.
#[tokio::test(flavor = "multi_thread")]
async fn rights_and_credentials_are_named_to_the_operator() {
    let Some(server) = server() else { return };
    let region = region();
    make_tables(&server, &region).await;
    let proxy = Proxy::to(&server).await;
    let (app, _) = app(&proxy.address, &region);
    let ana = app.ana().await;
    for (code, expected) in [
        (
            "AccessDeniedException",
            "does not grant a right that is needed: AccessDeniedException: made by a test",
        ),
        ("UnrecognizedClientException", "does not know the credentials"),
        ("ExpiredTokenException", "says that the credentials have expired"),
    ] {
        proxy.make(Trouble::Refuse(code));
        let message = app.reach_store().await.unwrap_err().to_string();
        assert!(message.contains(&proxy.address) && message.contains(expected), "{message}");
        let reply = app.get("/api/datasets").by(&ana).send().await;
        assert_eq!(reply.refused(503, "SERVICE_UNAVAILABLE"), "the metadata store does not answer", "{code}");
    }
    proxy.make(Trouble::None);
    app.reach_store().await.unwrap();
}

/// Needs no server: nothing listens on the port that nobody may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named() {
    let (app, _) = app("http://127.0.0.1:1", "ap-northeast-1");
    let error = app.reach_store().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("at `http://127.0.0.1:1` does not answer"), "{message}");
}

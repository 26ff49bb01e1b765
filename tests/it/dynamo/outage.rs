//! DynamoDB loses answers, throttles, or goes away, and comes back.

use serde_json::json;
use shirabe::catalog::store::{Begun, PageRequest};
use shirabe::catalog::transform::{ExecutionRecord, Reason};
use shirabe::ids::TransformId;

use super::proxy::{Proxy, Trouble};
use super::{app, make_tables, region, server};
use crate::support::TestApp;
use crate::support::records::{at, ended, execution};

/// As many as one call makes by itself before it gives up.
const ATTEMPTS_OF_A_CALL: usize = 4;

async fn service() -> Option<(TestApp, Proxy)> {
    let (server, region) = (server()?, region());
    make_tables(&server, &region).await;
    let proxy = Proxy::to(&server).await;
    let (app, _) = app(&proxy.address, &region);
    Some((app, proxy))
}

/// One lost answer is a call that is sent again; when all are lost, the commit is read back. Either way it happened once.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_happened_once() {
    let Some((app, proxy)) = service().await else { return };
    let operator = app.operator();
    for (name, lost) in [("one", 1), ("all", ATTEMPTS_OF_A_CALL)] {
        proxy.make(Trouble::LoseAnswers("TransactWriteItems", lost));
        let id = app.dataset(&operator, name, "n\n1\n").await;
        assert_eq!(proxy.trouble(), Trouble::LoseAnswers("TransactWriteItems", 0), "{name}: they were lost");
        proxy.make(Trouble::None);
        let versions = app.get(&format!("/api/datasets/{id}/versions")).by(&operator).send().await.list().0;
        assert_eq!(versions.len(), 1, "{name}");
        assert_eq!(app.rows(&operator, &format!("select n from {name}")).await, json!([[1]]));
    }
    let (items, pagination) = app.get("/api/datasets").by(&operator).send().await.list();
    assert_eq!((items.len(), &pagination["total"]), (2, &json!(2)), "each is counted once");
}

/// A user that was added under a lost answer is not told that the address is taken.
#[tokio::test(flavor = "multi_thread")]
async fn ones_own_write_is_not_somebody_elses() {
    let Some((app, proxy)) = service().await else { return };
    proxy.make(Trouble::LoseAnswers("TransactWriteItems", ATTEMPTS_OF_A_CALL));
    let ana = app.ana().await;
    proxy.make(Trouble::None);
    assert_eq!(app.get("/api/auth/me").by(&ana).send().await.data(200)["email"], ana.email);
}

/// An execution that began under a lost answer is not refused because it runs itself, nor lost because it was renewed.
#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_not_in_its_own_way() {
    let (Some(server), region) = (server(), region()) else { return };
    make_tables(&server, &region).await;
    let proxy = Proxy::to(&server).await;
    let executions = super::stores(&proxy.address, &region).executions;
    for lost in [1, ATTEMPTS_OF_A_CALL] {
        let record = ExecutionRecord {
            reason: Reason::Due,
            scheduled_at: Some(at(0)),
            ..execution(&TransformId::random(), at(0))
        };
        let lose = || proxy.make(Trouble::LoseAnswers("TransactWriteItems", lost));
        let all_lost = || assert_eq!(proxy.trouble(), Trouble::LoseAnswers("TransactWriteItems", 0));
        lose();
        assert_eq!(executions.begin(record.clone()).await.unwrap(), Begun::Yes);
        all_lost();
        let end = ExecutionRecord { revision: 1, ..ended(&record) };
        lose();
        assert_eq!(executions.put(end.clone()).await.unwrap(), 2);
        all_lost();
        proxy.make(Trouble::None);
        let stored = executions.get(&record.transform_id, &record.id).await.unwrap();
        assert_eq!(stored, Some(ExecutionRecord { revision: 2, ..end }));
        let (_, total) = executions.list(&record.transform_id, PageRequest::first(1)).await.unwrap();
        assert_eq!(total, 1, "it is counted once");
    }
}

/// Two transactions on the same items: DynamoDB cancels one, which is tried again, and not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_waits_for_others() {
    let Some((app, proxy)) = service().await else { return };
    let operator = app.operator();
    proxy.make(Trouble::Crowd(3));
    app.dataset(&operator, "patient", "n\n1\n").await;
    assert_eq!(proxy.trouble(), Trouble::Crowd(0));
    proxy.make(Trouble::Crowd(usize::MAX));
    app.upload(&operator, "late.csv", "n\n1\n").await.refused(503, "SERVICE_UNAVAILABLE");
    proxy.make(Trouble::None);
    assert_eq!(app.get("/api/datasets").by(&operator).send().await.list().0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_503_and_comes_back_by_itself() {
    let Some((app, proxy)) = service().await else { return };
    let ana = app.ana().await;
    app.dataset(&ana, "t", "n\n1\n").await;
    for trouble in [Trouble::Throttle, Trouble::HangUp] {
        proxy.make(trouble);
        let reply = app.query(&ana, "select n from t").await;
        let message = reply.refused(503, "SERVICE_UNAVAILABLE");
        assert_eq!(message, "the metadata store does not answer", "{trouble:?}");
        assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
        proxy.make(Trouble::None);
        assert_eq!(app.rows(&ana, "select n from t").await, json!([[1]]));
    }
    let metrics = app.get("/metrics").send().await;
    for name in ["shirabe_store_throttled_total", "shirabe_store_calls_total{operation=\"GetItem\"}"] {
        let line = metrics.text().lines().find(|line| line.starts_with(name));
        let count = line.and_then(|line| line.rsplit(' ').next()).and_then(|count| count.parse::<f64>().ok());
        assert!(count.is_some_and(|count| count > 0.0), "{name}: {line:?}");
    }
}

//! Requests and what they may cost. A call is paid for and takes milliseconds, so each has to have a reason; a row more
//! in a list has none.

use serde_json::json;
use shirabe::auth::Role;
use shirabe::catalog::name::NameKey;
use shirabe::catalog::record::DatasetRecord;
use shirabe::catalog::store::{Change, Commit, StoreCalls};
use shirabe::ids::{CommitId, DatasetId, UserId};

use super::{app, make_tables, region, server};
use crate::support::{PASSWORD, Person, TestApp};

/// The calls since the last time, as `GetItem 2, Query 1`.
pub(super) fn taken(calls: &StoreCalls) -> String {
    let each = calls.take().into_iter().map(|(operation, count)| format!("{operation} {count}"));
    each.collect::<Vec<_>>().join(", ")
}

async fn service() -> Option<(TestApp, StoreCalls)> {
    let (server, region) = (server()?, region());
    make_tables(&server, &region).await;
    Some(app(&server, &region))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_costs_three_calls() {
    let Some((app, calls)) = service().await else { return };
    let ana = app.ana().await;
    calls.take();
    app.login(&ana.email, PASSWORD).await.data(200);
    // The address, the user, and the audit record.
    assert_eq!(taken(&calls), "GetItem 2, PutItem 1");
    // As many for an address that nobody has, or the time would tell.
    app.login("nobody@example.com", PASSWORD).await.refused(401, "INVALID_CREDENTIALS");
    assert_eq!(taken(&calls), "GetItem 1, PutItem 1, Query 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_costs_the_same_for_one_row_and_for_fifty() {
    let Some((app, calls)) = service().await else { return };
    let admin = app.person("admin", Role::Admin).await;
    let people = [app.ana().await, app.person("ben", Role::User).await, app.person("eve", Role::User).await];
    let id = app.dataset(&people[0], "t", "a\n1\n").await;
    let list = async |count: usize| {
        calls.take();
        let (items, pagination) = app.get("/api/datasets?limit=50").by(&admin).send().await.list();
        assert_eq!((items.len(), pagination["total"].as_u64()), (count, Some(count as u64)));
        taken(&calls)
    };
    // The key and its user, the page and its total; and the owner.
    assert_eq!(list(1).await, "GetItem 4, Query 1");
    let first = app.state.catalog.lookup(&[DatasetId::parse(&id).unwrap()], &[]).await.unwrap().remove(0);
    for n in 1..50 {
        copy(&app, &first, &format!("t{n}"), &people[n % 3]).await;
    }
    // Several owners are one call as well.
    assert_eq!(list(50).await, "BatchGetItem 1, GetItem 3, Query 1");
}

async fn copy(app: &TestApp, first: &DatasetRecord, name: &str, owner: &Person) {
    let mut copy = DatasetRecord { id: DatasetId::random(), name: name.to_owned(), ..first.clone() };
    copy.name_key = NameKey::of(name);
    copy.owner_id = UserId::parse(&owner.id).unwrap();
    copy.current.dataset_id = copy.id.clone();
    copy.revision = 0;
    let commit =
        Commit { id: CommitId::random(), change: Change::Create(copy), audit: None, execution: None };
    app.state.catalog.commit(commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_costs_four_calls_however_many_tables_it_has() {
    let Some((app, calls)) = service().await else { return };
    let ana = app.ana().await;
    for name in ["a", "b", "c"] {
        app.dataset(&ana, name, "n\n1\n").await;
    }
    for sql in ["select n from a", "select n from a", "select a.n from a, b, c where a.n = b.n"] {
        calls.take();
        app.query(&ana, sql).await.data(200);
        // The key and its user; the names, and the datasets that they mean.
        assert_eq!(taken(&calls), "BatchGetItem 2, GetItem 2", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_published_by_one_call() {
    let Some((app, calls)) = service().await else { return };
    let operator = app.operator();
    let file = app.path().join("sales.csv");
    std::fs::write(&file, "n\n1\n").unwrap();
    let body = json!({ "path": file, "name": "sales" });
    let view = app.post("/api/datasets/path-import").by(&operator).json(&body).send().await.data(201);
    let id = view["dataset_id"].as_str().unwrap();
    std::fs::write(&file, "n\n2\n").unwrap();
    calls.take();
    app.post(&format!("/api/datasets/{id}/import")).by(&operator).json(&json!({})).send().await.data(200);
    // The dataset, for the door, for the job and for the answer; and the version, the pointer, the audit record and the
    // commit in one transaction.
    assert_eq!(taken(&calls), "GetItem 3, TransactWriteItems 1");
    assert_eq!(app.rows(&operator, "select n from sales").await, json!([[2]]));
}

//! What depends on what: lineage, cycles, and what would break.

use serde_json::{Value, json};

use super::{BY_CITY, TRIPS, change, execute, reimport, run, sql};
use crate::support::TestApp;

#[tokio::test]
async fn lineage_goes_from_the_source_to_the_last_dataset() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let trips = app.dataset(&ana, "trips", TRIPS).await;
    let first = sql(&app, &ana, "by city", BY_CITY).await;
    let middle = run(&app, &ana, &first).await["output_dataset_id"].as_str().unwrap().to_owned();
    let second =
        sql(&app, &ana, "top", r#"select city, total * 2 as twice from "by city" where total > 20"#).await;
    let last = run(&app, &ana, &second).await["output_dataset_id"].as_str().unwrap().to_owned();

    let graph = app.get(&format!("/api/datasets/{middle}/lineage")).by(&ana).send().await.data(200);
    let edges: Vec<_> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (edge["from"].clone(), edge["to"].clone()))
        .collect();
    for (from, to) in [(&trips, &first), (&first, &middle), (&middle, &second), (&second, &last)] {
        assert!(edges.contains(&(json!(from), json!(to))), "{graph}");
    }
    assert_eq!((edges.len(), graph["nodes"].as_array().unwrap().len()), (4, 5));

    let lineage = app.get(&format!("/api/transforms/{second}/lineage")).by(&ana).send().await.data(200);
    let columns = &lineage["lineage"]["columns"];
    assert_eq!(columns[0]["direct"], json!([{ "table": "by city", "column": "city" }]));
    assert_eq!((&columns[1]["column"], &columns[1]["how"]), (&json!("twice"), &json!("expression")));
}

#[tokio::test]
async fn a_circle_is_refused() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let first = sql(&app, &ana, "a", "select city, fare from trips").await;
    run(&app, &ana, &first).await;
    let second = sql(&app, &ana, "b", "select city, fare from a").await;
    run(&app, &ana, &second).await;
    let message = change(&app, &ana, &first, &json!({ "code": "select city, fare from b" }))
        .await
        .refused(400, "VALIDATION_ERROR");
    assert!(message.contains("would read what it makes, by way of `a` from `b`"), "{message}");
    let itself = change(&app, &ana, &first, &json!({ "code": "select city, fare from a" })).await;
    itself.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn what_others_need_is_not_taken_away() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let trips = app.dataset(&ana, "trips", TRIPS).await;
    let first = sql(&app, &ana, "by city", BY_CITY).await;
    let output = run(&app, &ana, &first).await["output_dataset_id"].as_str().unwrap().to_owned();
    let second = sql(&app, &ana, "top", r#"select city, total from "by city""#).await;

    for (dataset, how) in [(&trips, "reads"), (&output, "makes")] {
        let reply = app.delete(&format!("/api/datasets/{dataset}")).by(&ana).send().await;
        reply.refused(409, "CONFLICT");
        let users: Vec<Value> = reply.details()["used_by"].as_array().unwrap().clone();
        assert!(
            users.contains(&json!({ "type": "transform", "id": first, "name": "by city", "how": how })),
            "{users:?}"
        );
    }

    let edit = json!({ "code": "select city, sum(fare) as amount from trips group by city" });
    let reply = change(&app, &ana, &first, &edit).await;
    let message = reply.refused(409, "CONFLICT");
    assert!(message.contains("`top`: ") && message.contains("total"), "{message}");
    assert_eq!(reply.details()["would_break"][0]["transform_id"], json!(second));
    let mut forced = edit.clone();
    forced["force"] = json!(true);
    change(&app, &ana, &first, &forced).await.data(200);

    // A re-import that would lose a column says who needs it, before anything is written.
    let reply = reimport(&app, &ana, &trips, "city,day,price\nOslo,2024-01-01,10\n").await.data(200);
    assert_eq!(reply["import_status"], "pending_confirmation");
    assert_eq!(reply["would_break"][0]["transform_id"], json!(first), "{reply}");
    execute(&app, &ana, &first, &json!({})).await.data(200);
}

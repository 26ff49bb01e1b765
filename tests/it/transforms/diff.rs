//! Two versions, row by row.

use serde_json::json;

use super::reimport;
use crate::support::TestApp;

#[tokio::test]
async fn rows_are_added_removed_and_changed_by_key() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let old = "id,city,fare\n1,Oslo,10\n2,Bergen,20\n3,,30\n4,Rome,40\n";
    let new = "id,city,fare\n1,Oslo,10\n2,Bergen,25\n3,Bodø,30\n5,Paris,50\n";
    let id = app.dataset(&ana, "trips", old).await;
    reimport(&app, &ana, &id, new).await.data(200);
    let diff = async |body: serde_json::Value| {
        app.post(&format!("/api/datasets/{id}/versions/diff")).by(&ana).json(&body).send().await
    };
    let found = diff(json!({ "from": 1, "to": 2, "keys": ["id"] })).await.data(200);
    assert_eq!(
        (&found["added_count"], &found["removed_count"], &found["changed_count"], &found["unchanged_count"]),
        (&json!(1), &json!(1), &json!(2), &json!(1))
    );
    assert_eq!(found["added"], json!([[5, "Paris", 50]]));
    assert_eq!(found["removed"], json!([[4, "Rome", 40]]));
    let mut changed = found["changed"].as_array().unwrap().clone();
    changed.sort_by_key(|row| row[0].as_i64());
    assert_eq!(changed, [json!([2, "Bergen", 25]), json!([3, "Bodø", 30])]);
    let [city, fare] = found["columns"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&city["column"], &city["changed_count"]), (&json!("city"), &json!(1)));
    assert_eq!((&city["from"]["null_count"], &city["to"]["null_count"]), (&json!(1), &json!(0)));
    assert_eq!(
        (&fare["from"]["max"], &fare["to"]["max"], &fare["to"]["mean"]),
        (&json!("40"), &json!("50"), &json!("28.75"))
    );

    let same = diff(json!({ "from": 2, "to": 2, "keys": ["id", "city"] })).await.data(200);
    assert_eq!((&same["unchanged_count"], &same["changed_count"]), (&json!(4), &json!(0)));
    diff(json!({ "from": 1, "to": 9, "keys": ["id"] })).await.refused(404, "NOT_FOUND");
    diff(json!({ "from": 1, "to": 2, "keys": ["town"] })).await.refused(400, "VALIDATION_ERROR");
    diff(json!({ "from": 1, "to": 2, "keys": [] })).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn keys_have_to_tell_rows_apart() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "trips", "id,n\n1,1\n1,2\n").await;
    let body = json!({ "from": 1, "to": 1, "keys": ["id"] });
    let reply = app.post(&format!("/api/datasets/{id}/versions/diff")).by(&ana).json(&body).send().await;
    let message = reply.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("1 keys (id) are in more than one row of version 1"), "{message}");
}

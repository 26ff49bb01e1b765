//! How much of its tables a query may read: for everybody, and for one user.

use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::support::TestApp;

#[tokio::test]
async fn a_user_may_read_as_much_as_an_administrator_says() {
    let app = TestApp::with(&[("QUERY_SCAN_MB", "1")]);
    let (ana, eva) = (app.ana().await, app.person("eva", Role::Admin).await);
    // Digits that do not repeat, so that they stay more than a MiB however they are packed.
    let rows: String = (0..40_000_u128).map(|n| format!("{n},{}\n", n.pow(7) * 7_919 + n.pow(5))).collect();
    app.dataset(&ana, "digits", &format!("n,text\n{rows}")).await;
    let (wide, narrow) = ("select count(distinct text) from digits", "select count(distinct n) from digits");
    let limit = async |mb: Value| {
        app.put(&format!("/api/users/{}", ana.id)).by(&eva).json(&json!({ "scan_mb_max": mb })).send().await
    };

    let message = app.query(&ana, wide).await.refused(422, "OVER_LIMIT");
    assert!(message.contains("you may read 1 MiB at a time. Most is in `digits`: 1 of 1 files"), "{message}");
    app.query(&ana, narrow).await.data(200);
    app.query(&eva, wide).await.data(200);

    assert_eq!(limit(json!(100)).await.data(200)["scan_mb_max"], 100);
    app.query(&ana, wide).await.data(200);
    let body = json!({ "sql": wide });
    let told = app.post("/api/query/explain").by(&ana).json(&body).send().await.data(200);
    assert_eq!(told["scan_bytes_max"], 100 << 20);

    assert_eq!(limit(Value::Null).await.data(200)["scan_mb_max"], Value::Null);
    app.query(&ana, wide).await.refused(422, "OVER_LIMIT");
    limit(json!(0)).await.refused(400, "VALIDATION_ERROR");
}

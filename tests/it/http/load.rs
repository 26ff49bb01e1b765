//! Many callers at once, over real connections.

use futures::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use shirabe::server::http::{router, serve};
use tokio::net::TcpListener;

use crate::support::{PASSWORD, TestApp};

/// Serves `app` on a free port until the second value is dropped.
async fn listen(app: &TestApp) -> (String, impl Drop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = app.state.clone();
    (url, shirabe::tasks::spawn(serve(listener, router(state.clone()), state, std::future::pending())))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_at_once_get_their_own_answers() {
    const CALLERS: u64 = 200;
    let app = TestApp::new();
    let ana = app.ana().await;
    let rows: String = (0..1000).map(|n| format!("{n},{}\n", n * n)).collect();
    let id = app.dataset(&ana, "squares", &format!("n,square\n{rows}")).await;
    let (url, _server) = listen(&app).await;

    // HTTP/1 without a pool: as many connections as requests.
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let answers = join_all((0..CALLERS).map(|n| {
        let (client, url, id, token) = (&client, &url, &id, &ana.token);
        async move {
            let sql = format!("select n, square from squares where n = {n}");
            let query =
                client.post(format!("{url}/api/query")).bearer_auth(token).json(&json!({ "sql": sql }));
            let query: Value = query.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
            let view = client.get(format!("{url}/api/datasets/{id}")).bearer_auth(token);
            let view: Value = view.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
            let health = client.get(format!("{url}/api/health")).send().await.unwrap().text().await.unwrap();
            (n, query["data"]["rows"].clone(), view["data"]["row_count"].clone(), health)
        }
    }))
    .await;
    for (n, rows, row_count, health) in answers {
        assert_eq!(rows, json!([[n, n * n]]));
        assert_eq!((row_count, health.as_str()), (json!(1000), "{\"status\":\"ok\"}"));
    }
    assert_eq!(app.rows(&ana, "select count(*) from squares").await, json!([[1000]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_sign_ins_is_turned_away_and_the_service_stays() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let (url, _server) = listen(&app).await;
    let client = Client::builder().no_proxy().build().unwrap();
    let login = |email: String, password: &str| {
        let body = json!({ "email": email, "password": password });
        client.post(format!("{url}/api/auth/login")).json(&body).send()
    };
    let replies = join_all((0..50).map(|n| login(format!("nobody{n}@example.com"), "Wrong8Guess"))).await;
    for reply in &replies {
        let reply = reply.as_ref().unwrap();
        match reply.status() {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::SERVICE_UNAVAILABLE => assert!(reply.headers().contains_key("retry-after")),
            other => panic!("{other}"),
        }
    }
    let hashed = replies.iter().filter(|reply| reply.as_ref().unwrap().status() == StatusCode::UNAUTHORIZED);
    assert!(hashed.count() > 0);
    let good = login(ana.email.clone(), PASSWORD).await.unwrap();
    assert_eq!(good.status(), StatusCode::OK);
}

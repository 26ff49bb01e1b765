//! Results that are kept: what the header says, who shares them, and that none is ever stale.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::support::{Form, Person, Reply, TestApp};

const CITIES: &str = "id,city\n1,東京\n2,Oslo\n3,Lima\n";

async fn ask(app: &TestApp, by: &Person, body: &Value) -> Reply {
    app.post("/api/query").by(by).json(body).send().await
}

/// What the header says of an answer that has to be good.
#[track_caller]
fn cache(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-cache").to_owned()
}

/// What the caches tell of themselves.
async fn caches(app: &TestApp, by: &Person) -> Value {
    app.get("/api/health/detail").by(by).send().await.data(200)["caches"].clone()
}

async fn replace(app: &TestApp, by: &Person, id: &str, csv: String) {
    let form = Form::new().file("cities.csv", csv);
    let reply = app.post(&format!("/api/datasets/{id}/reimport")).by(by).form(form).send().await;
    assert!(reply.status < 300, "{}: {}", reply.status, reply.text());
}

#[tokio::test]
async fn a_header_says_where_an_answer_came_from() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "cities", CITIES).await;
    let check = async |body: Value, expected: &str| {
        let reply = ask(&app, &ana, &body).await;
        assert_eq!(cache(&reply), expected, "{body}");
        reply
    };
    let sql = "select id, city from cities order by id";
    let first = check(json!({ "sql": sql }), "miss").await;
    let second = check(json!({ "sql": sql }), "hit").await;
    check(json!({ "sql": "SELECT id, city FROM cities -- again\nORDER BY id" }), "hit").await;
    check(json!({ "sql": sql, "limit": 2 }), "miss").await;
    check(json!({ "sql": sql, "limit": 2 }), "hit").await;
    check(json!({ "sql": sql, "timeout_ms": 5000 }), "hit").await;
    check(json!({ "sql": sql, "use_cache": false }), "bypass").await;
    // What is asked past the cache is not kept either.
    check(json!({ "sql": "select max(id) from cities", "use_cache": false }), "bypass").await;
    check(json!({ "sql": "select max(id) from cities" }), "miss").await;
    for volatile in ["select now()", "select random()", "select uuid()", "select * from range(1, 3)"] {
        check(json!({ "sql": volatile }), "bypass").await;
        check(json!({ "sql": volatile }), "bypass").await;
    }
    check(json!({ "sql": "select query_id from system.queries" }), "bypass").await;

    // Equal but for what names the query and the request.
    assert_eq!(first.redacted(), second.redacted());
    for reply in [&first, &second] {
        assert_eq!(reply.json()["data"]["query_id"], reply.header("x-query-id"));
        assert_eq!(reply.json()["meta"]["request_id"], reply.header("x-request-id"));
    }
    assert_ne!(first.header("x-query-id"), second.header("x-query-id"));

    for (reply, expected) in [(&first, "miss"), (&second, "hit")] {
        let path = format!("/api/queries/{}", reply.header("x-query-id"));
        let told = app.get(&path).by(&ana).send().await.data(200);
        assert_eq!(
            (&told["cache"], &told["outcome"], &told["rows"]),
            (&json!(expected), &json!("complete"), &json!(3))
        );
    }
    let caches = caches(&app, &ana).await;
    assert_eq!((&caches["results"]["entries"], &caches["results"]["hits"]), (&json!(3), &json!(4)));
    assert!(caches["plans"]["hits"].as_u64().unwrap() > 0, "{caches}");
}

#[tokio::test]
async fn each_form_is_kept_apart_and_comes_back_to_the_byte() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "cities", CITIES).await;
    let body = json!({ "sql": "select id, city from cities order by id" });
    for form in ["ndjson", "csv", "csv&formula_guard=false", "arrow", "parquet"] {
        let ask = || app.post(&format!("/api/query?format={form}")).by(&ana).json(&body).send();
        let (first, second) = (ask().await, ask().await);
        assert_eq!((cache(&first).as_str(), cache(&second).as_str()), ("miss", "hit"), "{form}");
        assert_eq!(first.bytes, second.bytes, "{form}");
        assert_eq!(first.header("content-type"), second.header("content-type"));
        assert_eq!(second.header("content-length"), second.bytes.len().to_string());
    }
}

#[tokio::test]
async fn callers_share_what_each_of_them_may_read() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let eva = app.person("eva", Role::Admin).await;
    app.dataset(&ana, "cities", CITIES).await;
    let body = json!({ "sql": "select count(*) from cities" });
    assert_eq!(cache(&ask(&app, &ana, &body).await), "miss");
    assert_eq!(cache(&ask(&app, &eva, &body).await), "hit");
    ask(&app, &ben, &body).await.refused(400, "UNKNOWN_NAME");
    // Of the same name, and of nobody else.
    app.dataset(&ben, "towns", CITIES).await;
    let towns = json!({ "sql": "select count(*) from towns" });
    assert_eq!(cache(&ask(&app, &ben, &towns).await), "miss");
}

#[tokio::test]
async fn equal_questions_at_the_same_time_run_once() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "cities", CITIES).await;
    let body =
        json!({ "sql": "select a.city, count(*) from cities a, cities b, cities c group by 1 order by 1" });
    let replies: Vec<_> =
        (0..200).map(|_| ask(&app, &ana, &body)).collect::<FuturesUnordered<_>>().collect().await;
    let uses: Vec<_> = replies.iter().map(cache).collect();
    assert_eq!(uses.iter().filter(|cache| *cache == "miss").count(), 1);
    assert_eq!(uses.iter().filter(|cache| *cache == "hit").count(), 199);
    let rows = replies[0].data(200)["rows"].clone();
    assert_eq!(rows, json!([["Lima", 9], ["Oslo", 9], ["東京", 9]]));
    assert!(replies.iter().all(|reply| reply.data(200)["rows"] == rows));
    // One was planned, and the others waited for its plan.
    let caches = caches(&app, &ana).await;
    assert_eq!((&caches["results"]["misses"], &caches["plans"]["misses"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_failure_is_not_kept_and_each_caller_gets_it() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "cities", CITIES).await;
    let body = json!({ "sql": "select 1 / (id - 2) from cities" });
    for _ in 0..2 {
        let replies = futures::join!(ask(&app, &ana, &body), ask(&app, &ana, &body));
        for reply in [replies.0, replies.1] {
            assert!(reply.text().contains("BAD_DATA"), "{}", reply.text());
        }
    }
    assert_eq!(caches(&app, &ana).await["results"]["entries"], 0);
}

#[tokio::test]
async fn nothing_is_kept_without_room() {
    let app = TestApp::with(&[("QUERY_CACHE_MB", "0")]);
    let ana = app.ana().await;
    for _ in 0..2 {
        assert_eq!(cache(&app.query(&ana, "select 1").await), "bypass");
    }
}

/// A reader who asks after a replacement was acknowledged sees it, however many ask meanwhile; and nobody sees rows of
/// two versions, or of an older one after a newer one.
#[tokio::test]
async fn no_answer_is_stale_while_a_dataset_is_replaced_again_and_again() {
    const REPLACEMENTS: u64 = 25;
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "cities", &csv(0)).await;
    let body = json!({ "sql": "select min(number), max(number), count(*) from cities" });
    let done = std::cell::Cell::new(false);
    let writer = async {
        for number in 1..=REPLACEMENTS {
            replace(&app, &ana, &id, csv(number)).await;
            assert_eq!(ask(&app, &ana, &body).await.data(200)["rows"], json!([[number, number, 3]]));
        }
        done.set(true);
    };
    let reader = async || {
        let (mut last, mut answers) = (0, 0);
        while !done.get() {
            let rows = ask(&app, &ana, &body).await.data(200)["rows"].clone();
            let number = rows[0][0].as_u64().unwrap();
            assert_eq!(rows, json!([[number, number, 3]]));
            assert!(number >= last, "{number} after {last}");
            (last, answers) = (number, answers + 1);
            // A kept answer waits for nothing, and would never let the writer have its turn.
            tokio::task::yield_now().await;
        }
        answers
    };
    let ((), one, other) = futures::join!(writer, reader(), reader());
    assert!(one > REPLACEMENTS && other > REPLACEMENTS, "{one} and {other} answers");

    fn csv(number: u64) -> String {
        format!("number\n{number}\n{number}\n{number}\n")
    }
}

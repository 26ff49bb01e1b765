//! Two services on the same tables and the same bucket, as in production: what one does, the other sees.

mod killed;

use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::dynamo;
use crate::s3::TestBucket;
use crate::support::{Form, Person, TestApp};

const SECRET: &str = "a-secret-that-both-replicas-have-0123456789";

/// The same tables and the same bucket.
struct Shared {
    bucket: TestBucket,
    endpoint: String,
    region: String,
}

impl Shared {
    /// None without the servers.
    async fn new() -> Option<Self> {
        let (bucket, endpoint) = (TestBucket::new().await?, dynamo::server()?);
        let region = dynamo::region();
        dynamo::make_tables(&endpoint, &region).await;
        Some(Self { bucket, endpoint, region })
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let mut settings = self.bucket.settings();
        settings.extend([
            ("DYNAMODB_ENDPOINT", self.endpoint.as_str()),
            ("DYNAMODB_REGION", self.region.as_str()),
            ("JWT_SECRET_KEY", SECRET),
        ]);
        settings
    }
}

struct Replicas {
    a: TestApp,
    b: TestApp,
    ana: Person,
    id: String,
}

/// Two services with a dataset of one row; `None` without the servers.
async fn replicas() -> Option<Replicas> {
    let shared = Shared::new().await?;
    let settings = shared.settings();
    let (a, b) = (TestApp::with(&settings), TestApp::with(&settings));
    let ana = a.ana().await;
    let id = a.post("/api/datasets").by(&ana).form(sales(1)).send().await.data(201)["dataset_id"].clone();
    Some(Replicas { a, b, ana, id: id.as_str()?.to_owned() })
}

/// A file whose amounts sum up to `total`.
fn sales(total: u64) -> Form {
    Form::new().file("sales.csv", format!("shop,amount\nGinza,{total}\n"))
}

async fn total(app: &TestApp, by: &Person) -> Value {
    app.rows(by, "select sum(amount) as total from sales").await[0][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_on_one_is_read_by_the_next_query_on_the_other() {
    let Some(Replicas { a, b, ana, id }) = replicas().await else { return };
    for round in 2..12_u64 {
        // Both have the version before in all their caches.
        assert_eq!((total(&a, &ana).await, total(&b, &ana).await), (json!(round - 1), json!(round - 1)));
        let (here, there) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        here.post(&format!("/api/datasets/{id}/reimport")).by(&ana).form(sales(round)).send().await.data(200);
        assert_eq!(total(there, &ana).await, json!(round));
    }
    let asked = json!({ "sql": "select sum(amount) as total from sales", "as_of": "3" });
    let old = b.post("/api/query").by(&ana).json(&asked).send().await.data(200);
    assert_eq!(old["rows"], json!([[3]]), "an old version is read when it is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_publishes_at_once_one_wins_and_the_other_is_told() {
    let Some(Replicas { a, b, ana, id }) = replicas().await else { return };
    let path = format!("/api/datasets/{id}/reimport");
    let mut lost = 0;
    for round in 1..=5_u64 {
        let (one, other) = (round * 10, round * 10 + 1);
        let (of_a, of_b) = tokio::join!(
            a.post(&path).by(&ana).form(sales(one)).send(),
            b.post(&path).by(&ana).form(sales(other)).send(),
        );
        let statuses = [of_a.status, of_b.status];
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        let expected = match statuses {
            [200, 409] => vec![one],
            [409, 200] => vec![other],
            // One began after the other had ended.
            _ => vec![one, other],
        };
        assert!(statuses.contains(&200), "{statuses:?}");
        lost += statuses.iter().filter(|status| **status == 409).count();
        let (seen_a, seen_b) = (total(&a, &ana).await, total(&b, &ana).await);
        assert_eq!(seen_a, seen_b);
        assert!(expected.iter().any(|total| seen_a == json!(total)), "{seen_a} of {expected:?}");
        for reply in [of_a, of_b].iter().filter(|reply| reply.status == 409) {
            let error = reply.json();
            assert_eq!(error["error"]["code"], "CONFLICT", "{error}");
        }
    }
    assert!(lost > 0, "no two were ever at once");
    assert_eq!(a.findings().await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_at_one_is_known_to_the_other_until_they_sign_out() {
    let Some(Replicas { a, b, .. }) = replicas().await else { return };
    let root = a.person("root", Role::Admin).await;
    let sign_in = json!({ "email": root.email, "password": crate::support::PASSWORD });
    let token = a.post("/api/auth/login").json(&sign_in).send().await.data(200)["access_token"].clone();
    let by_token = Person { token: token.as_str().unwrap().to_owned(), ..root };
    assert_eq!(b.get("/api/auth/me").by(&by_token).send().await.status, 200);
    b.post("/api/auth/logout").by(&by_token).send().await;
    assert_eq!(a.get("/api/auth/me").by(&by_token).send().await.status, 401);
}

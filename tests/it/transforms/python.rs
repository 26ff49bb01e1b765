//! Python transforms, run by the real worker. One test after the other on one service, because its sandbox is tested
//! anew at each start.

use serde_json::{Value, json};

use super::{TRIPS, execute, id, make, reimport, run};
use crate::support::{Person, Reply, TestApp};

/// What `./dev test` says in the environment.
fn told(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "`./dev test` says where the worker is")]
    let found = std::env::var(name);
    found.unwrap_or_else(|_| panic!("`{name}` is not set: see `./dev test`"))
}

struct Author {
    app: TestApp,
    ana: Person,
    trips: String,
}

impl Author {
    async fn new() -> Self {
        let (worker, home) = (told("SHIRABE_WORKER"), told("SHIRABE_PYTHON_HOME"));
        let app = TestApp::with(&[("EXECUTOR_WORKER", &worker), ("EXECUTOR_PYTHON_HOME", &home)]);
        let ana = app.ana().await;
        let trips = app.dataset(&ana, "trips", TRIPS).await;
        Self { app, ana, trips }
    }

    fn body(&self, name: &str, code: &str) -> Value {
        json!({ "name": name, "code": code, "input_dataset_ids": [self.trips], "retries": { "max": 0, "backoff_s": 0 } })
    }

    async fn make(&self, name: &str, code: &str) -> String {
        id(&make(&self.app, &self.ana, &self.body(name, code)).await)
    }

    /// Runs code once.
    async fn run(&self, name: &str, code: &str) -> Reply {
        let id = self.make(name, code).await;
        execute(&self.app, &self.ana, &id, &json!({})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_and_writes_datasets() {
    let author = Author::new().await;
    frames_by_id_and_by_alias(&author).await;
    what_is_printed_is_in_the_log(&author).await;
    errors_have_the_authors_traceback(&author).await;
    wrong_results_are_named(&author).await;
    only_what_is_asked_for_is_handed_over(&author).await;
    what_is_read_again_is_kept(&author).await;
    code_is_read_before_it_is_kept(&author).await;
    a_preview_tells_what_was_printed(&author).await;
    adding_goes_on_from_the_high_water_mark(&author).await;
    what_breaks_out_is_told(&author).await;
}

async fn frames_by_id_and_by_alias(author: &Author) {
    let Author { app, ana, trips } = author;
    let code = "def transform(inputs, params):\n    trips = inputs['trips']\n    assert trips is inputs[params['id']]\n    \
                return trips.groupby('city', as_index=False)['fare'].sum()";
    let mut body = author.body("by city", code);
    body["params"] = json!({ "id": trips });
    let transform = id(&make(app, ana, &body).await);
    let execution = execute(app, ana, &transform, &json!({})).await.data(200);
    assert_eq!(execution["output_row_count"], 2);
    assert!(["A", "B", "C"].iter().any(|tier| execution["usage"]["sandbox_tier"] == *tier), "{execution}");
    assert!(execution["usage"]["memory_peak_bytes"].as_u64().unwrap() > 0, "{execution}");
    let rows = app.rows(ana, r#"select city, fare from "by city" order by city"#).await;
    assert_eq!(rows, json!([["Bergen", 20], ["Oslo", 40]]));
    let code = "import polars as pl\ndef transform(inputs: dict[str, pl.DataFrame], params):\n    \
                return inputs['trips'].select(pl.col('fare').max().alias('most'), pl.lit(params['scheduled_at']).alias('at'))";
    author.run("polars", code).await.data(200);
    assert_eq!(app.rows(ana, "select most from polars").await, json!([[30]]));
}

async fn what_is_printed_is_in_the_log(author: &Author) {
    let code =
        "def transform(inputs, params):\n    print('営業', len(inputs['trips']))\n    return inputs['trips']";
    let execution = author.run("printing", code).await.data(200);
    let log = execution["log"].as_str().unwrap();
    assert!(log.contains("営業 3") && log.contains("[shirabe] reads `trips` version 1: 3 rows"), "{log}");
}

async fn errors_have_the_authors_traceback(author: &Author) {
    let code = "def transform(inputs, params):\n    print('before')\n    return inputs['trips']['frae']";
    let reply = author.run("typo", code).await;
    let message = reply.refused(500, "EXECUTION_ERROR");
    assert!(message.contains("frae"), "{message}");
    let details = reply.details();
    assert_eq!(details["line"], 3);
    assert!(details["traceback"].as_str().unwrap().contains("transform.py\", line 3"), "{details}");
    assert!(details["log"].as_str().unwrap().contains("before"), "{details}");
    let message = author
        .run("imports", "import requests\ndef transform(inputs, params):\n    return inputs['trips']")
        .await;
    assert!(message.refused(500, "EXECUTION_ERROR").contains("requests"));
}

async fn wrong_results_are_named(author: &Author) {
    for (name, result, expected) in [
        ("none", "None", "returned None"),
        ("series", "inputs['trips']['fare']", "returned a Series"),
        (
            "twice",
            "__import__('pandas').concat([inputs['trips'], inputs['trips']], axis=1)",
            "more than one column `city`",
        ),
        ("numbers", "inputs['trips'].rename(columns={'fare': 1})", "the column name 1"),
        ("mixed", "inputs['trips'].assign(x=[1, 'a', None])", "column `x` mixes `int` and `str`"),
        ("lists", "inputs['trips'].assign(x=[[1], [2], []])", "holds lists"),
    ] {
        let reply = author.run(name, &format!("def transform(inputs, params):\n    return {result}")).await;
        assert!(!reply.text().contains("INTERNAL_ERROR") && reply.status >= 400, "{}", reply.text());
        assert!(reply.text().contains(expected), "{name}: {}", reply.text());
    }
    let kinds = "def transform(inputs, params):\n    import pandas as pd\n    t = inputs['trips']\n    return pd.DataFrame({\n        \
                 'c': pd.Categorical(['a', 'b', 'a']), 'z': pd.to_datetime(['2024-01-01'] * 3).tz_localize('Asia/Tokyo'),\n        \
                 'n': pd.array([1, None, 3], dtype='Int64'), 'b': pd.array([True, None, False], dtype='boolean')})";
    author.run("kinds", kinds).await.data(200);
    let rows = author.app.rows(&author.ana, "select c, n, b from kinds order by n nulls last").await;
    assert_eq!(rows, json!([["a", 1, true], ["a", 3, false], ["b", null, null]]));
    let empty =
        author.run("empty", "def transform(inputs, params):\n    return inputs['trips'].head(0)").await;
    assert_eq!(empty.data(200)["output_row_count"], 0);
}

async fn only_what_is_asked_for_is_handed_over(author: &Author) {
    let Author { app, ana, trips } = author;
    let code = "def transform(inputs, params):\n    t = inputs['t']\n    assert list(t.columns) == ['fare'], t.columns\n    return t";
    let mut body = author.body("narrow", code);
    body.as_object_mut().unwrap().remove("input_dataset_ids");
    body["inputs"] = json!([{ "dataset_id": trips, "alias": "t", "columns": ["fare"], "filter": "city = 'Oslo' -- only" }]);
    let transform = id(&make(app, ana, &body).await);
    assert_eq!(execute(app, ana, &transform, &json!({})).await.data(200)["output_row_count"], 2);
    for wrong in
        [json!({ "columns": ["price"] }), json!({ "filter": "price > 1" }), json!({ "filter": "fare >" })]
    {
        let mut input = json!({ "dataset_id": trips });
        input.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let mut body = body.clone();
        body["inputs"] = json!([input]);
        let reply = app.post("/api/transforms").by(ana).json(&body).send().await;
        reply.refused(400, "VALIDATION_ERROR");
        assert_eq!(reply.details()["field"], "inputs", "{}", reply.text());
    }
}

async fn what_is_read_again_is_kept(author: &Author) {
    let Author { app, ana, .. } = author;
    let hits = async || {
        let metrics = app.get("/metrics").send().await;
        let line =
            metrics.text().lines().find(|line| line.starts_with("shirabe_python_inputs_total{use=\"hit\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let dataset = app.dataset(ana, "again", TRIPS).await;
    let code = "def transform(inputs, params):\n    return inputs['again'][['fare']]";
    let mut body = author.body("reads again", code);
    body["input_dataset_ids"] = json!([dataset]);
    let transform = id(&make(app, ana, &body).await);
    let fares = async || app.rows(ana, r#"select sum(fare) from "reads again""#).await;
    run(app, ana, &transform).await;
    let before = hits().await;
    run(app, ana, &transform).await;
    assert_eq!((hits().await, fares().await), (before + 1, json!([[60]])));
    // Another version has other rows.
    reimport(app, ana, &dataset, "city,day,fare\nOslo,2024-01-01,7\n").await.data(200);
    run(app, ana, &transform).await;
    assert_eq!((hits().await, fares().await), (before + 1, json!([[7]])));
    // Chance and the time are asked again each time.
    for filter in ["random() >= 0", "now() > timestamp '2024-01-01'"] {
        body["name"] = json!(filter);
        body["inputs"] = json!([{ "dataset_id": dataset, "filter": filter }]);
        body.as_object_mut().unwrap().remove("input_dataset_ids");
        let transform = id(&make(app, ana, &body).await);
        for _ in 0..2 {
            assert_eq!(run(app, ana, &transform).await["output_row_count"], 1, "{filter}");
        }
        assert_eq!(hits().await, before + 1, "{filter}");
    }
}

async fn code_is_read_before_it_is_kept(author: &Author) {
    let Author { app, ana, .. } = author;
    for (code, expected) in [
        ("def transform(inputs, params):\n    return (", "line 2, column 12 of `code`: '(' was never closed"),
        ("def transform(inputs):\n    return inputs", "`transform` has to take two arguments"),
    ] {
        let reply = app.post("/api/transforms").by(ana).json(&author.body("wrong", code)).send().await;
        let message = reply.refused(400, "VALIDATION_ERROR");
        assert!(message.contains(expected), "{message}");
    }
}

async fn a_preview_tells_what_was_printed(author: &Author) {
    let Author { app, ana, trips } = author;
    let code =
        "def transform(inputs, params):\n    print(len(inputs['trips']), 'rows')\n    return inputs['trips']";
    let transform = json!({ "code": code, "input_dataset_ids": [trips] });
    let body = json!({ "transform": transform, "sample": { "kind": "first", "rows": 2 }, "limit": 1 });
    let found = app.post("/api/transforms/preview").by(ana).json(&body).send().await.data(200);
    assert_eq!((&found["row_count"], &found["rows"][0][0]), (&json!(1), &json!("Oslo")));
    assert!(found["log"].as_str().unwrap().contains("2 rows"), "{found}");
}

async fn adding_goes_on_from_the_high_water_mark(author: &Author) {
    let Author { app, ana, .. } = author;
    let code = "def transform(inputs, params):\n    t = inputs['trips']\n    high = params['high_water']\n    \
                return t if high is None else t[t.fare > high]";
    let mut body = author.body("added", code);
    body["write"] = json!({ "mode": "append", "high_water": "fare" });
    let transform = id(&make(app, ana, &body).await);
    for version in [1, 2] {
        let execution = execute(app, ana, &transform, &json!({})).await.data(200);
        assert_eq!(
            (&execution["output_version"], &execution["output_row_count"]),
            (&json!(version), &json!(3))
        );
    }
}

async fn what_breaks_out_is_told(author: &Author) {
    let code = "import ctypes\ndef transform(inputs, params):\n    ctypes.CDLL(None).ptrace(0, 0, 0, 0)\n    return inputs['trips']";
    let reply = author.run("hostile", code).await;
    assert!(reply.status >= 400 && !reply.text().contains("INTERNAL_ERROR"), "{}", reply.text());
    let code = "def transform(inputs, params):\n    while True: pass";
    let mut body = author.body("spin", code);
    body["timeout_s"] = json!(1);
    let transform = id(&make(&author.app, &author.ana, &body).await);
    execute(&author.app, &author.ana, &transform, &json!({})).await.refused(408, "EXECUTION_TIMEOUT");
    let honest = author.run("honest", "def transform(inputs, params):\n    return inputs['trips']").await;
    assert_eq!(honest.data(200)["status"], "success");
}

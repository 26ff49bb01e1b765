//! The life of a query: seen while it runs, cancelled, told of afterwards, and held to what it may use.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};

use super::testing::{self, Fixture, spec, text};
use super::*;
use crate::auth::{Principal, Role, Scope};
use crate::catalog::record::{QueryOutcome, QueryRecord};
use crate::error::Code;
use crate::ids::{QueryId, UserId};

/// More rows than anybody waits for, made one after the other.
const ENDLESS: &str = "select value from range(1, 1000000000000) where value % 3 = 0";

/// How long a test waits for what happens at once on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody with an ordinary account.
fn somebody(id: &UserId) -> Principal {
    Principal {
        user_id: id.clone(),
        email: "ana@example.com".to_owned(),
        role: Role::User,
        scope: Scope::Full,
        operator: false,
        scan_bytes_max: None,
    }
}

async fn record(fixture: &Fixture, id: &QueryId) -> QueryRecord {
    fixture.engine.query(&Principal::operator(), id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_told_of_while_it_runs_and_afterwards() {
    let fixture = Fixture::new().await;
    let statement = "select city, count(*) as n from trips where day >= date '2024-01-07' group by city";
    let asked = spec(&fixture, statement);
    let id = asked.query_id.clone();
    let mut rows = fixture.engine.run(asked.clone()).await.unwrap();
    let live = record(&fixture, &id).await;
    assert_eq!((live.outcome, live.ended_at), (QueryOutcome::Running, None));
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch.unwrap().num_rows() as u64;
    }
    drop(rows);
    let ended = record(&fixture, &id).await;
    assert_eq!(ended.outcome, QueryOutcome::Complete);
    assert_eq!((ended.statement.as_str(), &ended.user_id), (statement, &asked.user_id));
    assert_eq!(ended.rows, count);
    let table = &ended.tables[0];
    assert_eq!((table.name.as_str(), table.version, table.files), ("trips", Some(1), 2));
    assert_eq!((ended.work.files_total, ended.work.files_read), (2, 1), "one file has no such day");
    assert_eq!(ended.work.scanned_rows, 5);
    assert!(ended.work.scanned_bytes > 0 && ended.plan_us > 0, "{ended:?}");
    assert!(ended.total_us >= ended.queue_us + ended.plan_us, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_has_its_name_in_the_history() {
    let fixture = Fixture::new().await;
    check(&fixture, "select * from trips", |_| (), Ok(QueryOutcome::Complete)).await;
    check(&fixture, "select * from trips", |spec| spec.limits.rows = Some(3), Ok(QueryOutcome::Truncated))
        .await;
    let failed = Err((QueryOutcome::Failed, Code::BadData));
    check(&fixture, "select cast(city as bigint) from trips", |_| (), failed).await;
    let unknown = Err((QueryOutcome::Failed, Code::UnknownName));
    check(&fixture, "select nothing from trips", |_| (), unknown).await;
    let late = Err((QueryOutcome::TimedOut, Code::QueryTimeout));
    check(&fixture, ENDLESS, |spec| spec.limits.deadline_ms = 50, late).await;
    let large = Err((QueryOutcome::Failed, Code::OverLimit));
    check(&fixture, ENDLESS, |spec| spec.limits.result_bytes = Some(1 << 20), large).await;

    async fn check(
        fixture: &Fixture,
        statement: &str,
        change: impl FnOnce(&mut QuerySpec),
        expected: std::result::Result<QueryOutcome, (QueryOutcome, Code)>,
    ) {
        let mut asked = spec(fixture, statement);
        change(&mut asked);
        let id = asked.query_id.clone();
        let read =
            async { fixture.engine.run(asked).await?.try_for_each(|_| std::future::ready(Ok(()))).await };
        let code = read.await.err().map(|error| error.code());
        let told = record(fixture, &id).await;
        let got = match (code, &told.failure) {
            (Some(code), Some(failure)) if failure.code == code => Err((told.outcome, code)),
            (None, None) => Ok(told.outcome),
            other => panic!("{statement}: {other:?}"),
        };
        assert_eq!(got, expected, "{statement}");
        assert!(told.ended_at.is_some(), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_cancelled_by_its_owner_and_by_nobody_else() {
    let fixture = Fixture::new().await;
    let asked = spec(&fixture, ENDLESS);
    let (id, owner) = (asked.query_id.clone(), somebody(&asked.user_id));
    let mut rows = fixture.engine.run(asked).await.unwrap();
    rows.next().await.unwrap().unwrap();

    let stranger = somebody(&UserId::random());
    let hidden = fixture.engine.cancel(&stranger, &id).await.unwrap_err();
    let nothing = fixture.engine.cancel(&stranger, &QueryId::random()).await.unwrap_err();
    assert_eq!((hidden.code(), nothing.code()), (Code::NotFound, Code::NotFound));
    let reader = Principal { scope: Scope::ReadOnly, ..owner.clone() };
    assert_eq!(fixture.engine.cancel(&reader, &id).await.unwrap_err().code(), Code::Forbidden);
    rows.next().await.unwrap().unwrap();

    fixture.engine.cancel(&owner, &id).await.unwrap();
    let error = loop {
        match rows.next().await.expect("it does not end as if it were complete") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Cancelled);
    drop(rows);
    assert_eq!(record(&fixture, &id).await.outcome, QueryOutcome::Cancelled);
    fixture.engine.cancel(&owner, &id).await.expect("one that has ended is left as it is");
    work_ends(&fixture.engine).await;
}

/// Waits until no query keeps a processor, memory or disk.
async fn work_ends(engine: &Engine) {
    let ended = async {
        // A file goes with the thread that wrote it, which may come to its end a moment after the query.
        while engine.load() != (0, 0) || engine.memory_used() > 0 || engine.spill_used() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the work of all queries ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_cancels() {
    let fixture = Fixture::new().await;
    for read in [0, 1] {
        let asked = spec(&fixture, ENDLESS);
        let id = asked.query_id.clone();
        let mut rows = fixture.engine.run(asked).await.unwrap();
        for _ in 0..read {
            rows.next().await.unwrap().unwrap();
        }
        drop(rows);
        assert_eq!(record(&fixture, &id).await.outcome, QueryOutcome::Cancelled);
        work_ends(&fixture.engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stands_still_does_not_keep_its_slot() {
    let fixture = Fixture::new().await;
    let mut asked = spec(&fixture, ENDLESS);
    asked.limits.deadline_ms = 3_000;
    let mut rows = fixture.engine.run(asked).await.unwrap();
    work_ends(&fixture.engine).await;
    let error = loop {
        match rows.next().await.expect("it does not end as if it were complete") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::QueryTimeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_wait_for_their_turn_and_too_many_are_refused() {
    let limits =
        AdmissionLimits { running_max: 1, running_per_user_max: 1, waiting_max: 2, waiting_per_user_max: 1 };
    let fixture = Fixture::with_config(|config| config.admission = limits).await;
    let first = spec(&fixture, ENDLESS);
    let (id, user) = (first.query_id.clone(), first.user_id.clone());
    let mut first = fixture.engine.run(first).await.unwrap();
    first.next().await.unwrap().unwrap();

    let mut second = spec(&fixture, "select 1");
    second.user_id = user.clone();
    let waiting = second.query_id.clone();
    let engine = fixture.engine.clone();
    let second = crate::tasks::spawn(async move { text(engine.run(second).await?).await });
    let queued = async {
        while fixture.engine.load().0 == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, queued).await.unwrap();
    assert_eq!(record(&fixture, &waiting).await.outcome, QueryOutcome::Queued);

    let mut third = spec(&fixture, "select 1");
    third.user_id = user;
    let refused = third.query_id.clone();
    assert_eq!(fixture.engine.run(third).await.unwrap_err().code(), Code::RateLimitExceeded);
    assert_eq!(record(&fixture, &refused).await.outcome, QueryOutcome::Rejected);

    fixture.engine.cancel(&Principal::operator(), &id).await.unwrap();
    drop(first);
    assert_eq!(second.await.unwrap().unwrap(), ["1"]);
    assert!(record(&fixture, &waiting).await.queue_us > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_runs_out_of_memory_runs_again_and_spills() {
    let fixture = Fixture::with_config(|config| config.memory_bytes_max = 48 << 20).await;
    // 400,000 texts of 80 bytes on either side.
    let side = "(select value, lpad(cast(value as varchar), 80, 'x') as t from range(0, 400000))";
    let statement = format!("select count(*), sum(a.value) from {side} a join {side} b on a.t = b.t");
    let asked = spec(&fixture, &statement);
    let id = asked.query_id.clone();
    let rows = text(fixture.engine.run(asked).await.unwrap()).await.unwrap();
    assert_eq!(rows, ["400000|79999800000"]);
    let told = record(&fixture, &id).await;
    assert!(told.retried && told.work.spilled_bytes > 0, "{told:?}");
    assert!(told.memory_peak_bytes <= 48 << 20, "{told:?}");
    work_ends(&fixture.engine).await;
    assert_eq!(fixture.engine.spill_used(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sort_spills_as_far_as_it_may() {
    let fixture = Fixture::with_config(|config| {
        config.memory_bytes_max = 32 << 20;
        config.spill_per_query_bytes_max = 1 << 20;
    })
    .await;
    let statement = "select value, 'some text ' || value as t from range(0, 2000000) order by t desc";
    let error = match fixture.engine.run(spec(&fixture, statement)).await {
        Ok(rows) => text(rows).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.code(), Code::OverLimit, "{error}");
    assert!(error.to_string().contains("more spill space than one query may use: 1048576 bytes"), "{error}");
    work_ends(&fixture.engine).await;
    assert_eq!(fixture.engine.spill_used(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_a_table() {
    let fixture = Fixture::new().await;
    let stores = testing::stores(&fixture.folder);
    let (ana, ben) = (somebody(&UserId::random()), somebody(&UserId::random()));
    let ask = async |who: &Principal, statement: &str| {
        let request = Request::new(QueryId::random(), statement);
        let spec = fixture
            .engine
            .resolve(stores.datasets.as_ref(), stores.macros.as_ref(), who, request, testing::NOW)
            .await?;
        text(fixture.engine.run(spec).await?).await
    };
    ask(&ana, "select 7").await.unwrap();
    ask(&ana, "select 1/0").await.unwrap_err();
    ask(&ben, "select 8").await.unwrap();
    let seen = "select statement, outcome, error_code, rows from system.queries where length(statement) < 11 order by 1";
    let of_ana = ["select 1/0|failed|BAD_DATA|0", "select 7|complete|NULL|1"];
    // Not stored yet, stored, and read again by whoever starts next.
    assert_eq!(ask(&ana, seen).await.unwrap(), of_ana);
    fixture.engine.store_history().await.unwrap();
    assert_eq!(ask(&ana, seen).await.unwrap(), of_ana);
    let all = ask(&Principal::operator(), seen).await.unwrap();
    assert_eq!(all, [of_ana[0], of_ana[1], "select 8|complete|NULL|1"]);
    fixture.engine.store_history().await.unwrap();
    let restarted = testing::engine(&fixture.folder, &fixture.objects, 64 << 20);
    let (found, total) = restarted.queries(&ana, QueryFilter::default(), 100).await.unwrap();
    assert_eq!((found.len() as u64, total), (4, 4), "two statements and two looks at them");

    let error = ask(&ana, "select * from system.users").await.unwrap_err();
    assert_eq!(error.to_string(), "no table `system.users`; did you mean `system.queries`?");
    let theirs = ask(
        &ben,
        "select count(*) from system.queries where user_id <> (select user_id from system.queries limit 1)",
    );
    assert_eq!(theirs.await.unwrap(), ["0"]);
}

#[tokio::test]
async fn an_explanation_tells_what_filters_leave() {
    let fixture = Fixture::new().await;
    let explained = async |statement: &str| fixture.engine.explain(spec(&fixture, statement)).await;
    let all = explained("select id, fare from trips").await.unwrap();
    let [scan] = all.scans.as_slice() else { panic!("{all:?}") };
    assert_eq!(scan.columns, ["fare", "id"]);
    assert_eq!((scan.files, scan.row_groups), (Part { total: 2, read: 2 }, Part { total: 2, read: 2 }));
    assert_eq!(all.rows_estimate, Some(10));

    let some = explained("select id from trips where day >= date '2024-01-07'").await.unwrap();
    let [scan] = some.scans.as_slice() else { panic!("{some:?}") };
    assert_eq!(
        (scan.columns.as_slice(), scan.files),
        (&["day".to_owned(), "id".to_owned()][..], Part { total: 2, read: 1 })
    );
    assert!(scan.bytes.read > 0 && scan.bytes.read < scan.bytes.total, "{scan:?}");

    let none = explained("select id from trips where day > date '2030-01-01'").await.unwrap();
    assert_eq!(none.scans[0].files, Part { total: 2, read: 0 });

    let join = explained("select count(*) from trips a join trips b on a.id = b.id").await.unwrap();
    assert_eq!(join.scans.len(), 2);
    assert_eq!(join.joins.len(), 1, "{}", join.physical_plan);
    assert_eq!(join.joins[0].build_rows_estimate, Some(10));
    assert_eq!(explained("select nothing from trips").await.unwrap_err().code(), Code::UnknownName);
    assert_eq!(fixture.engine.load(), (0, 0));
}

#[tokio::test]
async fn a_query_that_would_read_too_much_is_refused_before_it_reads() {
    let fixture = Fixture::new().await;
    let some = "select id from trips where day >= date '2024-01-07'";
    let bytes = fixture.engine.explain(spec(&fixture, some)).await.unwrap().scans[0].bytes.read;
    let ask = async |statement: &str, scan_bytes: u64| {
        let mut asked = spec(&fixture, statement);
        asked.limits.scan_bytes = Some(scan_bytes);
        text(fixture.engine.run(asked).await?).await
    };
    assert_eq!(ask(some, bytes).await.unwrap(), ["6", "7", "8", "9"]);
    for (statement, left) in [
        ("select id, day from trips", "`trips`: 2 of 2 files, 2 of 2 row groups"),
        ("select count(*) from trips a join trips b on a.id = b.id and a.day = b.day", "2 of 2 files"),
        ("select * from trips where day >= date '2024-01-07'", "1 of 2 files, 1 of 2 row groups"),
    ] {
        let refused = ask(statement, bytes).await.unwrap_err();
        assert_eq!(refused.code(), Code::OverLimit, "{statement}: {refused}");
        assert!(refused.to_string().contains(left), "{statement}: {refused}");
    }
    assert_eq!(ask("select 1", 0).await.unwrap(), ["1"]);
    work_ends(&fixture.engine).await;
}

#[tokio::test]
async fn two_queries_cannot_have_one_id() {
    let fixture = Fixture::new().await;
    let asked = spec(&fixture, "select * from trips");
    let _first = fixture.engine.run(asked.clone()).await.unwrap();
    assert_eq!(fixture.engine.run(asked).await.unwrap_err().code(), Code::DuplicateError);
    assert_eq!(Arc::strong_count(&fixture.engine.0), 1, "nothing of the second is left");
}

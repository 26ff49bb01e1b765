//! The history of queries: the newest first, each once, and only so many.

use std::sync::Arc;

use super::{at, user};
use crate::catalog::record::{
    CacheUse, QueryFailure, QueryKind, QueryOutcome, QueryRecord, QueryTable, QueryWork,
};
use crate::catalog::store::{Owner, PageRequest, Stores, every};
use crate::error::Code;
use crate::ids::{DatasetId, QueryId, UserId};

pub(super) async fn run(stores: &Stores) {
    let history = &stores.history;
    let (ana, ben) = (UserId::random(), user("ben@example.com").id);
    let records: Vec<_> = (0..7).map(|n| query(n, if n % 2 == 0 { &ana } else { &ben })).collect();
    // In an order of their own, two of them at one moment, and one of them twice.
    history.append(&[&records[3], &records[0], &records[5]].map(Arc::clone)).await.unwrap();
    history.append(&records).await.unwrap();
    assert_eq!(history.get(&records[4].id).await.unwrap().as_ref(), Some(records[4].as_ref()));
    assert_eq!(history.get(&QueryId::random()).await.unwrap(), None);

    let all = every(|page| history.list(&Owner::Anyone, page)).await.unwrap();
    let mut expected: Vec<_> = records.iter().map(|record| record.as_ref().clone()).collect();
    expected.sort_by(|a, b| (b.asked_at, &b.id).cmp(&(a.asked_at, &a.id)));
    assert_eq!(all, expected);
    assert_eq!(history.count(&Owner::Anyone).await.unwrap(), 7);

    // Two at a time, of one user.
    let owner = Owner::User(ana.clone());
    let first = history.list(&owner, PageRequest::first(2)).await.unwrap();
    let rest = PageRequest { after: first.next.clone(), limit: 10 };
    let rest = history.list(&owner, rest).await.unwrap();
    let of_ana: Vec<_> = expected.iter().filter(|record| record.user_id == ana).cloned().collect();
    assert_eq!([first.items, rest.items].concat(), of_ana);
    assert_eq!(rest.next, None);
    assert_eq!(history.count(&owner).await.unwrap(), 4);

    assert_eq!(history.trim(7).await.unwrap(), 0);
    assert_eq!(history.trim(3).await.unwrap(), 4);
    assert_eq!(every(|page| history.list(&Owner::Anyone, page)).await.unwrap(), expected[..3]);
    assert_eq!(history.trim(0).await.unwrap(), 3);
    assert_eq!(history.count(&Owner::Anyone).await.unwrap(), 0);
}

fn query(n: i64, user: &UserId) -> Arc<QueryRecord> {
    let table = QueryTable {
        name: "売上".to_owned(),
        dataset_id: Some(DatasetId::random()),
        version: Some(u64::MAX),
        files: 3,
    };
    Arc::new(QueryRecord {
        id: QueryId::random(),
        user_id: user.clone(),
        kind: QueryKind::Query,
        statement: format!("select '{n}' -- 'é'\n"),
        tables: vec![table],
        // Two of them at one moment.
        asked_at: at(n / 2),
        ended_at: Some(at(n)),
        outcome: QueryOutcome::Failed,
        failure: Some(QueryFailure { code: Code::OverLimit, message: "…".to_owned() }),
        cache: CacheUse::Miss,
        total_us: 5,
        queue_us: 1,
        plan_us: 2,
        encode_us: 3,
        rows: 4,
        bytes: 5,
        memory_peak_bytes: 6,
        retried: true,
        work: QueryWork { scanned_rows: 7, spilled_bytes: 8, ..QueryWork::default() },
    })
}

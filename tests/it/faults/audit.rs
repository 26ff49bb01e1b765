//! Audit records while their store fails: each is there once in the end, in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shirabe::audit_log::{AuditLog, Entry, RetryFile};
use shirabe::catalog::record::AuditEvent;
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::catalog::store::{AuditStore as _, PageRequest};
use shirabe::clock::Timestamp;
use tempfile::TempDir;

use super::faulty::{Failure, FaultyAudit, Plan};

struct Ground {
    log: AuditLog,
    store: Arc<FaultyAudit>,
    plan: Plan,
    root: TempDir,
}

impl Ground {
    fn on(root: TempDir) -> Self {
        let plan = Plan::default();
        let inner = SqliteStore::open(root.path().join("store.db")).unwrap().stores().audit;
        let store = Arc::new(FaultyAudit { inner, plan: plan.clone(), taken: Mutex::default() });
        let queue = RetryFile::open(&root.path().join("queue.ndjson")).unwrap();
        let log = AuditLog::new(Arc::clone(&store) as _, Arc::new(queue));
        Self { log, store, plan, root }
    }

    /// The process ends without a last word, and another one starts.
    fn restart(self) -> Self {
        let Self { root, .. } = self;
        Self::on(root)
    }

    async fn note(&self, numbers: std::ops::Range<i64>) {
        for n in numbers {
            let target = n.to_string();
            let entry = Entry {
                event: AuditEvent::UserLogin,
                by: None,
                target: ("user", &target),
                details: serde_json::json!({}),
                request_id: None,
            };
            self.log.note(entry, Timestamp::from_seconds(n)).await;
        }
    }

    /// What the store holds, oldest first.
    async fn stored(&self) -> Vec<String> {
        let mut found = self.store.list(PageRequest::first(1_000)).await.unwrap().items;
        found.reverse();
        found.into_iter().map(|record| record.target_id).collect()
    }

    /// What the store took, in that order, since it was opened.
    fn taken(&self) -> Vec<String> {
        self.store.taken.lock().unwrap().iter().map(|record| record.target_id.clone()).collect()
    }
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn records_that_were_refused_come_after_the_next_that_is_taken() {
    let ground = Ground::on(tempfile::tempdir().unwrap());
    ground.plan.fail(1, Failure::Refused, true);
    ground.note(0..10).await;
    assert_eq!((ground.stored().await, ground.log.waiting()), (vec![], 10));
    assert_eq!(ground.plan.end(), Some("append"));
    ground.note(10..11).await;
    assert_eq!((ground.stored().await, ground.log.waiting()), (numbers(0..11), 0));
    assert_eq!(
        ground.taken(),
        [numbers(10..11), numbers(0..10)].concat(),
        "those that waited in their order"
    );
}

#[tokio::test]
async fn records_whose_answer_was_lost_are_there_once() {
    let ground = Ground::on(tempfile::tempdir().unwrap());
    ground.plan.fail(1, Failure::Lost, true);
    ground.note(0..5).await;
    assert_eq!(ground.log.waiting(), 5);
    ground.plan.end();
    ground.log.retry().await;
    assert_eq!((ground.stored().await, ground.log.waiting()), (numbers(0..5), 0));
}

#[tokio::test]
async fn records_wait_through_a_restart() {
    let ground = Ground::on(tempfile::tempdir().unwrap());
    ground.plan.fail(1, Failure::Refused, true);
    ground.note(0..600).await;
    let ground = ground.restart();
    assert_eq!(ground.log.waiting(), 600);
    ground.log.retry().await;
    assert_eq!((ground.stored().await, ground.log.waiting()), (numbers(0..600), 0));
    assert_eq!(ground.taken(), numbers(0..600));
}

/// Whoever signs in hangs up while the store is thinking.
#[tokio::test]
async fn a_record_outlives_the_call_that_caused_it() {
    for broken in [false, true] {
        let ground = Ground::on(tempfile::tempdir().unwrap());
        if broken {
            ground.plan.fail(1, Failure::Refused, true);
        }
        let mut note = Box::pin(ground.note(0..1));
        assert!(futures::poll!(&mut note).is_pending());
        drop(note);
        let settled = async {
            while ground.log.waiting() + ground.stored().await.len() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("the record is kept");
        assert_eq!(ground.log.waiting(), usize::from(broken));
    }
}

/// The store fails again at each place of the way, and the process dies there.
#[tokio::test]
async fn a_store_that_fails_again_loses_nothing() {
    for n in 1..=6 {
        let ground = Ground::on(tempfile::tempdir().unwrap());
        ground.plan.fail(1, Failure::Refused, true);
        ground.note(0..5).await;
        ground.plan.fail(n, Failure::Refused, true);
        ground.log.retry().await;
        let taken = i64::try_from(n).unwrap() - 1;
        assert_eq!(ground.stored().await, numbers(0..taken.min(5)));
        let ground = ground.restart();
        ground.log.retry().await;
        assert_eq!((ground.stored().await, ground.log.waiting()), (numbers(0..5), 0), "failed at {n}");
    }
}

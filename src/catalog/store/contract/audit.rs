//! `AuditStore`.

use super::{at, audit, walk};
use crate::catalog::record::AuditRecord;
use crate::catalog::store::Stores;
use crate::ids::DatasetId;

pub(super) async fn run(stores: &Stores) {
    let target = DatasetId::random();
    // After everything that other checks leave behind, two at the same moment.
    let made: Vec<AuditRecord> = [0, 1, 1, 2].map(|n| audit(&target, at(5_000_000 + n))).into();
    for record in &made {
        stores.audit.append(record.clone()).await.unwrap();
    }
    stores.audit.append(made[0].clone()).await.unwrap();
    for limit in [1, 3, 1_000] {
        let mut n_late = 0;
        let found = walk(limit, async |page| {
            let page = stores.audit.list(page).await.unwrap();
            // What is written while somebody reads is newer, and does not shift what follows.
            n_late += 1;
            stores.audit.append(audit(&DatasetId::random(), at(6_000_000 + n_late))).await.unwrap();
            page
        });
        let found = found.await;
        assert!(found.is_sorted_by(|a, b| a.timestamp >= b.timestamp), "newest first");
        let mut ours: Vec<_> = found.into_iter().filter(|r| r.target_id == target.as_str()).collect();
        ours.sort_by(|a, b| a.id.cmp(&b.id));
        let mut expected = made.clone();
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(ours, expected, "each once, in pages of {limit}");
    }
}

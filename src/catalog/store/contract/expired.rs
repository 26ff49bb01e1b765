//! `ExpiredStore`.

use super::{at, commit, create, dataset, walk};
use crate::catalog::record::ExpiredVersion;
use crate::catalog::store::{Change, Stores};
use crate::clock::Timestamp;
use crate::ids::{DatasetId, UserId};

pub(super) async fn run(stores: &Stores) {
    let owner = UserId::random();
    // Before everything that other checks leave behind, two at the same moment.
    let moments = [-900, -800, -800, -700];
    let mut made = Vec::new();
    for (n, moment) in moments.into_iter().enumerate() {
        let record = create(stores, dataset(&owner, &format!("expired {n}"), at(0))).await;
        let delete = Change::Delete { id: record.id.clone(), revision: 1, at: at(moment) };
        commit(stores, delete).await.unwrap();
        let label = record.current.label;
        made.push(ExpiredVersion { dataset_id: record.id, label, expired_at: at(moment) });
    }
    check(stores, at(-900), &[]).await;
    check(stores, at(-899), &made[..1]).await;
    check(stores, at(-700), &made[..3]).await;
    check(stores, at(-699), &made).await;

    let label = "00000001-added".to_owned();
    let added = ExpiredVersion { dataset_id: DatasetId::random(), label, expired_at: at(-950) };
    stores.expired.add(&added).await.unwrap();
    stores.expired.add(&added).await.unwrap();
    check(stores, at(-900), std::slice::from_ref(&added)).await;
    stores.expired.forget(&added).await.unwrap();
    check(stores, at(-900), &[]).await;

    stores.expired.forget(&made[0]).await.unwrap();
    stores.expired.forget(&made[0]).await.unwrap();
    check(stores, at(-699), &made[1..]).await;

    async fn check(stores: &Stores, before: Timestamp, expected: &[ExpiredVersion]) {
        for limit in [1, 2, 10] {
            let mut found =
                walk(limit, async |page| stores.expired.expired(before, page).await.unwrap()).await;
            assert!(found.is_sorted_by_key(|expired| expired.expired_at), "oldest first");
            found.sort_by(|a, b| a.label.cmp(&b.label));
            let mut expected = expected.to_vec();
            expected.sort_by(|a, b| a.label.cmp(&b.label));
            assert_eq!(found, expected, "in pages of {limit}");
        }
    }
}

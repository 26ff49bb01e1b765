//! `KeyStore`.

use super::at;
use crate::catalog::record::{KeyRecord, KeyScope};
use crate::catalog::store::{StoreError, Stores};
use crate::ids::{KeyId, UserId};
use crate::limits::KEYS_PER_USER_MAX;

pub(super) async fn run(stores: &Stores) {
    let keys = &stores.keys;
    let (ana, bo) = (UserId::random(), UserId::random());
    let key = |owner: &UserId, age: i64| KeyRecord {
        id: KeyId::random(),
        user_id: owner.clone(),
        name: format!("夜間バッチ {age}"),
        scope: KeyScope::ReadOnly,
        secret_sha256: "ab".repeat(32),
        created_at: at(-age),
        expires_at: Some(at(100)),
    };
    let (old, new, other) = (key(&ana, 2), key(&ana, 1), key(&bo, 3));
    for record in [&old, &new, &other] {
        keys.add(record.clone()).await.unwrap();
    }
    assert_eq!(keys.get(&old.id).await.unwrap(), Some(old.clone()));
    assert_eq!(keys.get(&KeyId::random()).await.unwrap(), None);
    assert_eq!(keys.of_user(&ana).await.unwrap(), [new.clone(), old.clone()], "newest first");
    assert_eq!(keys.of_user(&UserId::random()).await.unwrap(), []);

    let usurper = KeyRecord { user_id: bo.clone(), ..old.clone() };
    assert!(matches!(keys.add(usurper).await, Err(StoreError::Taken(_))));
    assert_eq!(keys.get(&old.id).await.unwrap().unwrap().user_id, ana);

    assert!(keys.remove(&old.id).await.unwrap());
    assert!(!keys.remove(&old.id).await.unwrap());
    assert_eq!(keys.of_user(&ana).await.unwrap(), [new]);
    assert_eq!(keys.of_user(&bo).await.unwrap(), [other]);

    let many = UserId::random();
    for age in 0..i64::try_from(KEYS_PER_USER_MAX).unwrap() {
        keys.add(key(&many, age)).await.unwrap();
    }
    assert_eq!(keys.of_user(&many).await.unwrap().len(), KEYS_PER_USER_MAX);
}

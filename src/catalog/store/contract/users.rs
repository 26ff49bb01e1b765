//! `UserStore`.

use super::user;
use crate::catalog::record::{Role, UserRecord};
use crate::catalog::store::{StoreError, Stores};
use crate::ids::UserId;
use crate::limits::PAGE_ITEMS_MAX;

pub(super) async fn run(stores: &Stores) {
    revisions(stores).await;
    addresses_are_unique(stores).await;
    lookup(stores).await;
    search(stores).await;
    admins(stores).await;
}

async fn revisions(stores: &Stores) {
    let users = &stores.users;
    assert!(!users.any().await.unwrap());
    assert_eq!(users.get(&UserId::random()).await.unwrap(), None);
    assert_eq!(users.by_email("ana@example.com").await.unwrap(), None);

    let ana = user("ana@example.com");
    assert_eq!(users.put(ana.clone()).await.unwrap(), 1);
    assert!(users.any().await.unwrap());
    let read = users.get(&ana.id).await.unwrap().unwrap();
    assert_eq!(read, UserRecord { revision: 1, ..ana.clone() });
    assert_eq!(users.by_email("ana@example.com").await.unwrap(), Some(read.clone()));

    let again = users.put(ana.clone()).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict(_)), "stored already: {again}");
    let renamed = UserRecord { name: "Ana 二".to_owned(), ..read.clone() };
    assert_eq!(users.put(renamed.clone()).await.unwrap(), 2);
    let late = users.put(read).await.unwrap_err();
    assert!(matches!(late, StoreError::Conflict(_)), "a late writer loses: {late}");
    assert_eq!(users.get(&ana.id).await.unwrap().unwrap().name, renamed.name);

    let nobody = UserRecord { revision: 1, ..user("nobody@example.com") };
    let gone = users.put(nobody).await.unwrap_err();
    assert!(matches!(gone, StoreError::Conflict(_)), "not there any more: {gone}");
}

async fn addresses_are_unique(stores: &Stores) {
    let users = &stores.users;
    let taken = users.put(user("ana@example.com")).await.unwrap_err();
    assert!(matches!(&taken, StoreError::Taken(what) if what.contains("ana@example.com")), "{taken}");

    let mut bo = user("bo@example.com");
    bo.revision = users.put(bo.clone()).await.unwrap();
    let moved = UserRecord { email: "ana@example.com".to_owned(), ..bo.clone() };
    assert!(matches!(users.put(moved).await, Err(StoreError::Taken(_))));

    // An address that was given up is free, and leads to its new owner only.
    bo.email = "bo2@example.com".to_owned();
    users.put(bo.clone()).await.unwrap();
    assert_eq!(users.by_email("bo@example.com").await.unwrap(), None);
    assert_eq!(users.by_email("bo2@example.com").await.unwrap().unwrap().id, bo.id);
    users.put(user("bo@example.com")).await.unwrap();
}

async fn lookup(stores: &Stores) {
    let users = &stores.users;
    let mut made = Vec::new();
    for n in 0..3 {
        let mut record = user(&format!("{n}@lookup.example"));
        record.revision = users.put(record.clone()).await.unwrap();
        made.push(record);
    }
    made.sort_by(|a, b| a.id.cmp(&b.id));
    check(stores, vec![], &[]).await;
    check(stores, vec![UserId::random()], &[]).await;
    check(stores, vec![made[1].id.clone()], &made[1..2]).await;
    let twice = made.iter().chain(&made).map(|user| user.id.clone()).chain([UserId::random()]);
    check(stores, twice.collect(), &made).await;
    let many = made.iter().map(|user| user.id.clone());
    let many = many.chain(std::iter::repeat_with(UserId::random)).take(PAGE_ITEMS_MAX);
    check(stores, many.collect(), &made).await;

    async fn check(stores: &Stores, ids: Vec<UserId>, expected: &[UserRecord]) {
        let mut found = stores.users.lookup(&ids).await.unwrap();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(found, expected, "{ids:?}");
    }
}

async fn search(stores: &Stores) {
    for email in ["zoe@search.example", "kim@search.example", "佐藤@search.example", "a%b_c@search.example"]
    {
        stores.users.put(user(email)).await.unwrap();
    }
    let all = ["a%b_c@search.example", "kim@search.example", "zoe@search.example", "佐藤@search.example"];
    check(stores, "search.example", "", 10, &all).await;
    check(stores, "search.example", "", 2, &all[..2]).await;
    check(stores, "search.example", all[1], 10, &all[2..]).await;
    check(stores, "search.example", "l", 1, &all[2..3]).await;
    check(stores, "search.example", all[3], 10, &[]).await;
    check(stores, "佐藤", "", 10, &all[3..]).await;
    check(stores, "%b_", "", 10, &all[..1]).await;
    check(stores, "m@s", "", 10, &all[1..2]).await;
    check(stores, "_im", "", 10, &[]).await;

    async fn check(stores: &Stores, part: &str, after: &str, limit: usize, expected: &[&str]) {
        let found = stores.users.search(part, after, limit).await.unwrap();
        assert_eq!(found.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), expected, "{part}");
    }
}

async fn admins(stores: &Stores) {
    let mut records = Vec::new();
    for email in ["a1@admin.example", "a2@admin.example", "a3@admin.example"] {
        let mut record = UserRecord { role: Role::Admin, ..user(email) };
        record.revision = stores.users.put(record.clone()).await.unwrap();
        records.push(record);
    }
    check(stores, 10, &["a1@admin.example", "a2@admin.example", "a3@admin.example"]).await;
    check(stores, 2, &["a1@admin.example", "a2@admin.example"]).await;
    stores.users.put(UserRecord { disabled: true, ..records.remove(0) }).await.unwrap();
    stores.users.put(UserRecord { role: Role::User, ..records.remove(0) }).await.unwrap();
    check(stores, 10, &["a3@admin.example"]).await;

    // Whoever stays must be one then.
    let last = records.remove(0);
    let gone = UserRecord { disabled: true, ..last.clone() };
    for other in [stores.users.by_email("a1@admin.example"), stores.users.by_email("a2@admin.example")] {
        let other = other.await.unwrap().unwrap();
        let refused = stores.users.put_beside_admin(gone.clone(), &other.id).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    let nobody = stores.users.put_beside_admin(gone.clone(), &UserId::random()).await;
    assert!(matches!(nobody, Err(StoreError::Conflict(_))), "{nobody:?}");
    check(stores, 10, &["a3@admin.example"]).await;
    let fourth = UserRecord { role: Role::Admin, ..user("a4@admin.example") };
    stores.users.put(fourth.clone()).await.unwrap();
    assert_eq!(stores.users.put_beside_admin(gone, &fourth.id).await.unwrap(), last.revision + 1);
    check(stores, 10, &["a4@admin.example"]).await;

    async fn check(stores: &Stores, limit: usize, expected: &[&str]) {
        let found = stores.users.enabled_admins(limit).await.unwrap();
        assert_eq!(found.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), expected);
    }
}

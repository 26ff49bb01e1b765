//! `MacroStore`.

use super::at;
use crate::catalog::name::NameKey;
use crate::catalog::record::{MacroParameter, MacroRecord, MacroScope};
use crate::catalog::store::{StoreError, Stores};
use crate::ids::{MacroId, UserId};
use crate::limits::MACROS_PER_SCOPE_MAX;

fn new(owner: &UserId, name: &str) -> MacroRecord {
    let parameter = |name: &str, kind: Option<&str>| MacroParameter {
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
    };
    MacroRecord {
        id: MacroId::random(),
        name: name.to_owned(),
        name_key: NameKey::of(name),
        owner_id: owner.clone(),
        shared: false,
        parameters: vec![parameter("売上", Some("DECIMAL(18, 2)")), parameter("cost", None)],
        expression: "(売上 - cost) /\n 売上 -- 🙂".to_owned(),
        description: "粗利率".to_owned(),
        calls: vec![NameKey::of("other")],
        created_at: at(1),
        updated_at: at(2),
        revision: 0,
    }
}

async fn create(stores: &Stores, record: MacroRecord) -> MacroRecord {
    assert_eq!(stores.macros.put(record.clone()).await.unwrap(), 1);
    MacroRecord { revision: 1, ..record }
}

pub(super) async fn run(stores: &Stores) {
    names_are_found_in_their_scope(stores).await;
    of_two_writers_one_wins(stores).await;
    a_name_is_taken_once_in_a_scope(stores).await;
    a_scope_lists_by_name(stores).await;
}

async fn names_are_found_in_their_scope(stores: &Stores) {
    let macros = &stores.macros;
    let (ana, bo) = (UserId::random(), UserId::random());
    let mine = create(stores, new(&ana, "Margin")).await;
    let theirs = create(stores, new(&bo, "margin")).await;
    let shared = create(stores, MacroRecord { shared: true, ..new(&bo, "MARGIN") }).await;
    assert_eq!(macros.get(&mine.id).await.unwrap(), Some(mine.clone()), "all of it comes back");
    assert_eq!(macros.get(&MacroId::random()).await.unwrap(), None);

    let names = [NameKey::of("ｍａｒｇｉｎ"), NameKey::of("nothing")];
    let find = async |scopes: &[MacroScope]| macros.lookup(scopes, &names).await.unwrap();
    let own = MacroScope::User(ana);
    let mut found = find(&[own.clone(), MacroScope::Shared]).await;
    found.sort_by_key(|found| found.shared);
    assert_eq!(found, [mine.clone(), shared.clone()]);
    assert_eq!(find(&[own]).await, [mine]);
    assert_eq!(find(&[MacroScope::User(bo)]).await, [theirs]);
    assert_eq!(find(&[MacroScope::User(UserId::random())]).await, []);
    assert_eq!(find(&[]).await, []);
    assert_eq!(macros.lookup(&[MacroScope::Shared], &[]).await.unwrap(), []);
    macros.remove(&shared.id, 1).await.unwrap();
}

async fn of_two_writers_one_wins(stores: &Stores) {
    let macros = &stores.macros;
    let record = create(stores, new(&UserId::random(), "raced")).await;
    let first = MacroRecord { expression: "1".to_owned(), ..record.clone() };
    assert_eq!(macros.put(first.clone()).await.unwrap(), 2);
    let check = |outcome: Result<(), StoreError>| {
        assert!(matches!(&outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    };
    check(macros.put(MacroRecord { expression: "2".to_owned(), ..record.clone() }).await.map(drop));
    check(
        macros.put(MacroRecord { revision: 0, name_key: NameKey::of("x"), ..record.clone() }).await.map(drop),
    );
    check(macros.put(MacroRecord { revision: 1, ..new(&record.owner_id, "unknown") }).await.map(drop));
    check(macros.remove(&record.id, 1).await);
    assert_eq!(macros.get(&record.id).await.unwrap(), Some(MacroRecord { revision: 2, ..first }));
    macros.remove(&record.id, 2).await.unwrap();
    check(macros.remove(&record.id, 2).await);
    assert_eq!(macros.get(&record.id).await.unwrap(), None);
}

async fn a_name_is_taken_once_in_a_scope(stores: &Stores) {
    let macros = &stores.macros;
    let ana = UserId::random();
    let first = create(stores, new(&ana, "first")).await;
    let second = create(stores, new(&ana, "second")).await;
    let check = |outcome: Result<u64, StoreError>| {
        assert!(matches!(&outcome, Err(StoreError::Taken(_))), "{outcome:?}");
    };
    check(macros.put(new(&ana, "FIRST")).await);
    check(macros.put(MacroRecord { name_key: NameKey::of("first"), ..second.clone() }).await);
    assert_eq!(
        macros.get(&second.id).await.unwrap(),
        Some(second.clone()),
        "a refused change changes nothing"
    );

    // What is shared leaves its owner's scope, and its name there is free.
    assert_eq!(macros.put(MacroRecord { shared: true, ..first.clone() }).await.unwrap(), 2);
    let again = create(stores, new(&ana, "first")).await;
    check(macros.put(MacroRecord { shared: true, ..again.clone() }).await);
    macros.remove(&first.id, 2).await.unwrap();
    assert_eq!(macros.put(MacroRecord { shared: true, ..again.clone() }).await.unwrap(), 2);
    macros.remove(&again.id, 2).await.unwrap();
}

async fn a_scope_lists_by_name(stores: &Stores) {
    let ana = UserId::random();
    for n in (0..MACROS_PER_SCOPE_MAX).rev() {
        create(stores, new(&ana, &format!("m{n:03}"))).await;
    }
    create(stores, new(&UserId::random(), "m")).await;
    let found = stores.macros.of(&MacroScope::User(ana)).await.unwrap();
    let names: Vec<_> = found.iter().map(|found| found.name.clone()).collect();
    assert_eq!(names, (0..MACROS_PER_SCOPE_MAX).map(|n| format!("m{n:03}")).collect::<Vec<_>>());
    assert_eq!(stores.macros.of(&MacroScope::User(UserId::random())).await.unwrap(), []);
}

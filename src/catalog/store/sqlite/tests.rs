//! What is SQLite's own: the contract over a file, damage, a full disk, what is left after a stop.

use std::path::Path;

use super::SqliteStore;
use super::migrate::MIGRATIONS;
use crate::auth::Role;
use crate::catalog::record::UserRecord;
use crate::catalog::store::{StoreError, Stores, contract};
use crate::clock::Timestamp;
use crate::ids::UserId;

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder.join("shirabe.db")).unwrap()
}

fn user(email: &str) -> UserRecord {
    UserRecord {
        id: UserId::random(),
        email: email.to_owned(),
        name: "n".repeat(2_000),
        role: Role::User,
        password_hash: String::new(),
        token_version: 0,
        disabled: false,
        scan_bytes_max: None,
        created_at: Timestamp::from_seconds(0),
        revision: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    contract::run(&store.clone().stores()).await;
    assert_eq!(store.damage().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let ana = user("ana@example.com");
    open(folder.path()).stores().users.put(ana.clone()).await.unwrap();
    let again = open(folder.path()).stores();
    assert_eq!(again.users.get(&ana.id).await.unwrap().unwrap().email, ana.email);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
    }
}

#[tokio::test]
async fn a_full_disk_has_its_own_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.database.limit_growth(2).await.unwrap();
    let stores = store.clone().stores();
    let (mut kept, mut refused) = (Vec::new(), 0);
    for n in 0..20 {
        let record = user(&format!("{n}@example.com"));
        match stores.users.put(record.clone()).await {
            Ok(_) => kept.push(record.id),
            Err(StoreError::Full) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0 && !kept.is_empty(), "{refused} refused");
    store.database.limit_growth(1_000).await.unwrap();
    stores.users.put(user("later@example.com")).await.unwrap();
    for id in kept {
        assert!(stores.users.get(&id).await.unwrap().is_some());
    }
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shirabe.db");
    std::fs::write(&path, "this is not SQLite, it is text\n".repeat(1_000)).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(error.to_string().contains("shirabe.db"), "{error}");
}

#[tokio::test]
async fn damage_inside_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shirabe.db");
    let stores = SqliteStore::open(&path).unwrap().stores();
    for n in 0..50 {
        stores.users.put(user(&format!("{n}@example.com"))).await.unwrap();
    }
    // The last to close writes the log back into the file.
    drop(stores);
    let mut bytes = std::fs::read(&path).unwrap();
    let page_bytes = 4096;
    assert!(bytes.len() > 20 * page_bytes);
    // The first page keeps the schema, so the file still opens.
    bytes[page_bytes..].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let outcome = match SqliteStore::open(&path) {
        Ok(store) => store.stores().users.search("example", "", 100).await.map(drop),
        Err(error) => Err(error),
    };
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(error.to_string().contains("shirabe.db"), "{error}");
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shirabe.db");
    drop(open(folder.path()));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("insert into migrations values (999, 'later')", []).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path).unwrap_err().to_string();
    let known = format!("up to {}", MIGRATIONS.last().unwrap().number);
    assert!(error.contains("shirabe.db") && error.contains("999") && error.contains(&known), "{error}");
}

/// A page cursor of one index handed to another is refused, not misread.
#[tokio::test]
async fn a_foreign_cursor_is_refused() {
    use crate::catalog::store::PageRequest;
    let folder = tempfile::tempdir().unwrap();
    let stores: Stores = open(folder.path()).stores();
    let after = Some(crate::catalog::store::Cursor("[1,2,3]".to_owned()));
    let error = stores.audit.list(PageRequest { after, limit: 1 }).await.unwrap_err();
    assert!(error.to_string().contains("no cursor"), "{error}");
}

/// What the first version wrote. A field that is added to a record later needs a default, or a migration.
#[test]
fn documents_of_the_first_version_still_read() {
    use super::doc;
    use crate::catalog::record::{AuditRecord, DatasetRecord, KeyRecord};
    doc::read::<UserRecord>(
        r#"{"id":"user_0123456789ab","email":"ana@example.com","name":"Ana","role":"admin","password_hash":"",
            "token_version":0,"disabled":false,"created_at":0,"revision":1}"#,
    )
    .unwrap();
    doc::read::<KeyRecord>(
        r#"{"id":"key_0123456789ab","user_id":"user_0123456789ab","name":"k","scope":"read_only",
            "secret_sha256":"","created_at":0,"expires_at":null}"#,
    )
    .unwrap();
    doc::read::<DatasetRecord>(
        r#"{"id":"ds_0123456789ab","name":"Sales","name_key":"sales","description":"",
            "owner_id":"user_0123456789ab","source":{"kind":"local_csv","file_name":"s.csv","path":null},
            "partition_column":null,"sort_column":null,"read_contract":{},
            "current":{"dataset_id":"ds_0123456789ab","number":1,"label":"000001-0123abcd","manifest_blake3":"",
            "kind":"import","row_count":1,"byte_count":1,"column_count":1,"quarantined_count":0,"created_at":0,
            "created_by":"user_0123456789ab","commit_id":"cmt_0123456789ab"},
            "created_at":0,"last_import_at":0,"revision":1}"#,
    )
    .unwrap();
    doc::read::<AuditRecord>(
        r#"{"id":"log_0123456789ab","timestamp":0,"event":"USER_LOGIN_FAILED","user_id":null,"target_type":"user",
            "target_id":"","details":{},"request_id":null}"#,
    )
    .unwrap();
}

//! The services over a real store: one SQLite file a test.

use std::sync::Arc;

use secrecy::SecretString;
use tempfile::TempDir;

use super::{AccountSettings, Accounts, NewKey, NewUser, Signed, UserChange};
use crate::audit_log::{AuditLog, RetryFile};
use crate::auth::password::{Cost, Policy};
use crate::auth::token::Algorithm;
use crate::auth::{Principal, Role, Scope};
use crate::catalog::record::{AuditEvent, AuditRecord, UserRecord};
use crate::catalog::store::sqlite::SqliteStore;
use crate::catalog::store::{AuditStore, Page, PageRequest, StoreError, Stores};
use crate::clock::Timestamp;
use crate::error::{Code, Error};
use crate::ids::UserId;

const PASSWORD: &str = "Tsukiji8";

struct Service {
    accounts: Accounts,
    stores: Stores,
    /// Holds the store's file.
    folder: TempDir,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn accounts(stores: &Stores, folder: &TempDir) -> Accounts {
    let settings = AccountSettings {
        token_secret: SecretString::from("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"),
        token_algorithm: Algorithm::Hs256,
        token_lifetime_s: 3_600,
        password_policy: Policy::default(),
        password_cost: Cost::FLOOR,
    };
    let queue = RetryFile::open(&folder.path().join("audit-retry.ndjson")).unwrap();
    let audit = AuditLog::new(Arc::clone(&stores.audit), Arc::new(queue));
    Accounts::new(stores, audit, &settings).unwrap()
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStore::open(folder.path().join("shirabe.db")).unwrap().stores();
        Self { accounts: accounts(&stores, &folder), stores, folder }
    }

    async fn add(&self, email: &str, role: Role) -> UserRecord {
        let user = NewUser { email, name: "", role, password: PASSWORD };
        self.accounts.users.add(&Principal::operator(), user, at(0)).await.unwrap()
    }

    async fn sign_in(&self, email: &str, password: &str, seconds: i64) -> Result<Signed, Error> {
        self.accounts.sign_in.sign_in(email, password, at(seconds), Some("req_1")).await
    }

    async fn who(&self, bearer: &str, seconds: i64) -> Result<Principal, Code> {
        self.accounts.sign_in.authenticate(bearer, at(seconds)).await.map_err(|error| error.code())
    }

    async fn log(&self) -> Vec<AuditRecord> {
        self.stores.audit.list(PageRequest::first(1_000)).await.unwrap().items
    }

    async fn change(&self, id: &UserId, change: UserChange<'_>) -> Result<UserRecord, Error> {
        self.accounts.users.change(&Principal::operator(), id, change).await
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, code: Code) -> Error {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    error
}

#[tokio::test]
async fn signing_in_and_out() {
    let service = Service::start();
    let ana = service.add("ana@example.com", Role::User).await;
    assert_eq!((ana.name.as_str(), ana.revision), ("ana", 1));

    let signed = service.sign_in(" ANA@example.com ", PASSWORD, 0).await.unwrap();
    assert_eq!((&signed.user.id, signed.expires_in_s), (&ana.id, 3_600));
    let who = service.who(&signed.token, 1).await.unwrap();
    let expected = Principal {
        user_id: ana.id.clone(),
        email: ana.email.clone(),
        role: Role::User,
        scope: Scope::Full,
        operator: false,
        scan_bytes_max: None,
    };
    assert_eq!(who, expected);

    let other = service.sign_in(&ana.email, PASSWORD, 0).await.unwrap();
    service.accounts.sign_in.sign_out(&signed.token, at(2), None).await.unwrap();
    assert_eq!(service.who(&signed.token, 2).await, Err(Code::InvalidToken));
    refused(service.accounts.sign_in.sign_out(&signed.token, at(2), None).await, Code::InvalidToken);
    assert!(service.who(&other.token, 2).await.is_ok(), "another session goes on");
    assert_eq!(service.who(&other.token, 3_600).await, Err(Code::TokenExpired));
    assert_eq!(service.who("", 0).await, Err(Code::InvalidToken));

    let log = service.log().await;
    let events: Vec<_> = log.iter().map(|record| record.event).collect();
    assert_eq!(events, [AuditEvent::UserLogout, AuditEvent::UserLogin, AuditEvent::UserLogin]);
    assert!(log.iter().all(|record| record.user_id.as_ref() == Some(&ana.id)));
}

#[tokio::test]
async fn unknown_wrong_and_disabled_cannot_be_told_apart() {
    let service = Service::start();
    service.add("ana@example.com", Role::User).await;
    let bo = service.add("bo@example.com", Role::User).await;
    service.change(&bo.id, UserChange { disabled: Some(true), ..UserChange::default() }).await.unwrap();

    let mut messages = Vec::new();
    for (email, password) in [
        ("ana@example.com", "Wrong-1-password"),
        ("nobody@example.com", PASSWORD),
        ("bo@example.com", PASSWORD),
        ("no address", PASSWORD),
    ] {
        let before = service.accounts.passwords.verification_count();
        let error = refused(service.sign_in(email, password, 0).await, Code::InvalidCredentials);
        let after = service.accounts.passwords.verification_count();
        assert_eq!(after - before, 1, "{email} costs one hash");
        messages.push((error.to_string(), error.details()));
    }
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");

    let log = service.log().await;
    assert_eq!(log.iter().filter(|r| r.event == AuditEvent::UserLoginFailed).count(), 4);
    assert!(log.iter().all(|record| record.request_id.as_deref() == Some("req_1")));
    let text = serde_json::to_string(&log).unwrap();
    assert!(!text.contains(PASSWORD) && !text.contains("Wrong-1"), "no password in the log");
}

#[tokio::test]
async fn guessing_gets_slower_and_a_good_sign_in_forgives() {
    let service = Service::start();
    service.add("ana@example.com", Role::User).await;
    for address in ["ana@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            refused(service.sign_in(address, "Wrong-1-password", 0).await, Code::InvalidCredentials);
        }
        let error = refused(service.sign_in(address, PASSWORD, 0).await, Code::RateLimitExceeded);
        assert!(matches!(error, Error::RateLimited { retry_after_s: 1 }), "{error:?}");
    }
    service.sign_in("ana@example.com", PASSWORD, 1).await.unwrap();
    refused(service.sign_in("ana@example.com", "Wrong-1-password", 1).await, Code::InvalidCredentials);
    service.sign_in("ana@example.com", PASSWORD, 1).await.unwrap();
}

#[tokio::test]
async fn an_old_bcrypt_hash_is_replaced_at_the_next_sign_in() {
    let service = Service::start();
    let mut ana = service.add("ana@example.com", Role::User).await;
    ana.password_hash = bcrypt::hash(PASSWORD, 4).unwrap();
    service.stores.users.put(ana.clone()).await.unwrap();

    refused(service.sign_in(&ana.email, "Wrong-1-password", 0).await, Code::InvalidCredentials);
    let kept = service.stores.users.get(&ana.id).await.unwrap().unwrap();
    assert!(kept.password_hash.starts_with("$2b$"), "a wrong password replaces nothing");

    let signed = service.sign_in(&ana.email, PASSWORD, 0).await.unwrap();
    let renewed = service.stores.users.get(&ana.id).await.unwrap().unwrap();
    assert!(renewed.password_hash.starts_with("$argon2id$"));
    assert!(service.who(&signed.token, 0).await.is_ok());
    service.sign_in(&ana.email, PASSWORD, 0).await.unwrap();
    assert_eq!(service.stores.users.get(&ana.id).await.unwrap().unwrap().revision, renewed.revision);
}

#[tokio::test]
async fn disabling_or_a_new_password_ends_tokens() {
    let service = Service::start();
    let ana = service.add("ana@example.com", Role::User).await;
    let token = service.sign_in(&ana.email, PASSWORD, 0).await.unwrap().token;
    let set = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
    service.change(&ana.id, set(true)).await.unwrap();
    assert_eq!(service.who(&token, 0).await, Err(Code::InvalidToken));
    service.change(&ana.id, set(false)).await.unwrap();
    let who = service.who(&token, 0).await.unwrap();

    let sign_in = &service.accounts.sign_in;
    let wrong = sign_in.change_password(&who, "Wrong-1-password", "Toyosu-2018", at(0)).await;
    refused(wrong, Code::InvalidCredentials);
    refused(sign_in.change_password(&who, PASSWORD, "weak", at(0)).await, Code::ValidationError);
    let reader = Principal { scope: Scope::ReadOnly, ..who.clone() };
    refused(sign_in.change_password(&reader, PASSWORD, "Toyosu-2018", at(0)).await, Code::Forbidden);
    assert!(service.who(&token, 0).await.is_ok(), "nothing changed yet");

    let signed = sign_in.change_password(&who, PASSWORD, "Toyosu-2018", at(0)).await.unwrap();
    assert_eq!(service.who(&token, 0).await, Err(Code::InvalidToken));
    assert_eq!(service.who(&signed.token, 0).await.unwrap(), who);
    refused(service.sign_in(&ana.email, PASSWORD, 0).await, Code::InvalidCredentials);

    let reset = UserChange { password: Some("Tsukishima-1"), ..UserChange::default() };
    service.change(&ana.id, reset).await.unwrap();
    assert_eq!(service.who(&signed.token, 0).await, Err(Code::InvalidToken));
    service.sign_in(&ana.email, "Tsukishima-1", 0).await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_secret_or_user_is_refused() {
    let (ours, theirs) = (Service::start(), Service::start());
    let ana = ours.add("ana@example.com", Role::User).await;
    theirs.add("ana@example.com", Role::Admin).await;
    // The same secret on two services: the user behind the token must exist here, too.
    let token = theirs.sign_in(&ana.email, PASSWORD, 0).await.unwrap().token;
    assert_eq!(ours.who(&token, 0).await, Err(Code::InvalidToken));
}

#[tokio::test]
async fn keys_work_until_they_end() {
    let service = Service::start();
    let ana = service.add("ana@example.com", Role::User).await;
    let bo = service.add("bo@example.com", Role::User).await;
    let token = service.sign_in(&ana.email, PASSWORD, 0).await.unwrap().token;
    let who = service.who(&token, 0).await.unwrap();
    let keys = &service.accounts.keys;
    let new =
        NewKey {
            owner: &ana.id, name: " 夜間バッチ ", scope: Scope::ReadOnly, expires_at: Some(at(50))
        };

    let made = keys.create(&who, new, at(0)).await.unwrap();
    assert_eq!(made.record.name, "夜間バッチ");
    let stored = service.stores.keys.get(&made.record.id).await.unwrap().unwrap();
    assert!(!serde_json::to_string(&stored).unwrap().contains(&made.text[40..]), "the secret is not kept");
    let reader = service.who(&made.text, 49).await.unwrap();
    assert_eq!((&reader.user_id, reader.scope), (&ana.id, Scope::ReadOnly));
    assert_eq!(service.who(&made.text, 50).await, Err(Code::TokenExpired));
    let (rest, last) = made.text.split_at(made.text.len() - 1);
    let changed = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(service.who(&changed, 0).await, Err(Code::InvalidToken));
    refused(service.accounts.sign_in.sign_out(&made.text, at(0), None).await, Code::ValidationError);

    refused(keys.create(&reader, new, at(0)).await, Code::Forbidden);
    refused(keys.create(&who, NewKey { owner: &bo.id, ..new }, at(0)).await, Code::NotFound);
    refused(keys.create(&who, NewKey { name: "", ..new }, at(0)).await, Code::ValidationError);
    refused(keys.create(&who, NewKey { name: &"x".repeat(101), ..new }, at(0)).await, Code::ValidationError);
    refused(keys.create(&who, new, at(50)).await, Code::ValidationError);
    let nobody = UserId::random();
    let operator = Principal::operator();
    refused(keys.create(&operator, NewKey { owner: &nobody, ..new }, at(0)).await, Code::NotFound);
    keys.create(&operator, NewKey { owner: &ana.id, ..new }, at(1)).await.unwrap();
    assert_eq!(keys.list(&who, &ana.id).await.unwrap().len(), 2);

    let stranger = Principal { user_id: bo.id.clone(), ..who.clone() };
    let hidden = refused(keys.revoke(&stranger, &made.record.id).await, Code::NotFound);
    keys.revoke(&who, &made.record.id).await.unwrap();
    let gone = refused(keys.revoke(&who, &made.record.id).await, Code::NotFound);
    assert_eq!(hidden.to_string(), gone.to_string());
    assert_eq!(service.who(&made.text, 0).await, Err(Code::InvalidToken));
}

#[tokio::test]
async fn users_are_administered_by_administrators() {
    let service = Service::start();
    let admin = service.add("admin@example.com", Role::Admin).await;
    let ana = service.add("ana@example.com", Role::User).await;
    let users = &service.accounts.users;
    let token = service.sign_in(&ana.email, PASSWORD, 0).await.unwrap().token;
    let who = service.who(&token, 0).await.unwrap();
    let new = NewUser { email: "kim@example.com", name: "Kim", role: Role::User, password: PASSWORD };

    refused(users.add(&who, new, at(0)).await, Code::Forbidden);
    refused(users.get(&who, &admin.id).await, Code::NotFound);
    refused(users.change(&who, &admin.id, UserChange::default()).await, Code::NotFound);
    let promote = UserChange { role: Some(Role::Admin), ..UserChange::default() };
    refused(users.change(&who, &ana.id, promote).await, Code::Forbidden);
    assert_eq!(users.get(&who, &ana.id).await.unwrap().email, ana.email);
    assert_eq!(users.search(&who, "", 10).await.unwrap(), []);
    assert_eq!(users.search(&who, "  ", 10).await.unwrap(), []);
    let found = users.search(&who, "ADMIN@", 10).await.unwrap();
    assert_eq!(found.iter().map(|user| &user.id).collect::<Vec<_>>(), [&admin.id]);

    let operator = Principal::operator();
    refused(
        users.add(&operator, NewUser { email: "ANA@example.com", ..new }, at(0)).await,
        Code::DuplicateError,
    );
    refused(users.add(&operator, NewUser { email: "ana", ..new }, at(0)).await, Code::ValidationError);
    refused(users.add(&operator, NewUser { password: "weak", ..new }, at(0)).await, Code::ValidationError);
    users.add(&operator, new, at(0)).await.unwrap();
    assert_eq!(users.list(&operator).await.unwrap().len(), 3);
    assert_eq!(users.by_email(&operator, "KIM@example.com").await.unwrap().name, "Kim");
    assert_eq!(users.name_of(&operator.user_id).await.unwrap(), "operator");
    refused(users.change(&operator, &UserId::random(), UserChange::default()).await, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays() {
    let service = Service::start();
    let first = service.add("a@example.com", Role::Admin).await;
    let demote = UserChange { role: Some(Role::User), ..UserChange::default() };
    let disable = UserChange { disabled: Some(true), ..UserChange::default() };
    refused(service.change(&first.id, demote).await, Code::Conflict);
    refused(service.change(&first.id, disable).await, Code::Conflict);

    // A disabled administrator is no help.
    let second = service.add("b@example.com", Role::Admin).await;
    service.change(&second.id, disable).await.unwrap();
    refused(service.change(&first.id, demote).await, Code::Conflict);

    // Two who go at the same moment: one stays.
    let enable = UserChange { disabled: Some(false), ..UserChange::default() };
    service.change(&second.id, enable).await.unwrap();
    let (one, two) = tokio::join!(service.change(&first.id, demote), service.change(&second.id, disable));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(service.stores.users.enabled_admins(10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_works_once() {
    let service = Service::start();
    let setup = &service.accounts.setup;
    let complete = async |code: &str, password: &str, email: &str| {
        setup.complete(code, email, password, "", at(0)).await
    };
    refused(complete("", PASSWORD, "a@example.com").await, Code::Forbidden);
    let old = setup.begin().await.unwrap().unwrap();
    let code = setup.begin().await.unwrap().unwrap();
    assert_eq!(code.text().len(), 32);
    assert!(!format!("{code:?} {setup:?}").contains(code.text()));
    refused(complete(old.text(), PASSWORD, "a@example.com").await, Code::Forbidden);
    refused(complete(&code.text()[1..], PASSWORD, "a@example.com").await, Code::Forbidden);
    refused(complete(code.text(), "weak", "a@example.com").await, Code::ValidationError);

    let (one, two) = tokio::join!(
        complete(code.text(), PASSWORD, "a@example.com"),
        complete(code.text(), PASSWORD, "b@example.com")
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(one.or(two).unwrap().role, Role::Admin);
    refused(complete(code.text(), PASSWORD, "c@example.com").await, Code::Forbidden);
    assert!(setup.begin().await.unwrap().is_none(), "not while there is a user");
}

#[tokio::test]
async fn a_user_added_meanwhile_closes_the_set_up() {
    let service = Service::start();
    let code = service.accounts.setup.begin().await.unwrap().unwrap();
    service.add("admin@example.com", Role::Admin).await;
    let late = service.accounts.setup.complete(code.text(), "b@example.com", PASSWORD, "", at(0)).await;
    refused(late, Code::Forbidden);
}

/// An audit store that never answers must not keep people out.
#[tokio::test]
async fn a_failing_audit_log_fails_no_sign_in() {
    #[derive(Debug)]
    struct Broken;
    #[async_trait::async_trait]
    impl AuditStore for Broken {
        async fn append(&self, _: AuditRecord) -> Result<(), StoreError> {
            Err(StoreError::Full)
        }
        async fn list(&self, _: PageRequest) -> Result<Page<AuditRecord>, StoreError> {
            Err(StoreError::Full)
        }
    }
    let mut service = Service::start();
    service.add("ana@example.com", Role::User).await;
    service.stores.audit = Arc::new(Broken);
    let accounts = accounts(&service.stores, &service.folder);
    let signed = accounts.sign_in.sign_in("ana@example.com", PASSWORD, at(0), None).await.unwrap();
    accounts.sign_in.sign_out(&signed.token, at(0), None).await.unwrap();
}

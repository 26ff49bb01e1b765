//! People, in the table `users`. Their addresses stand in `unique_names` too, which decides who has one.

use async_trait::async_trait;

use super::DynamoStore;
use super::condition::Condition;
use super::item::{Attributes, Fields, Item, key, number, text};
use super::page::Query;
use super::schema::{ADMINS_BY_ADDRESS, DIRECTORY, USERS, USERS_BY_ADDRESS, USERS_BY_EMAIL};
use super::transaction::{NotDone, Transaction, Unless};
use super::unique::unique;
use crate::auth::Role;
use crate::catalog::record::UserRecord;
use crate::catalog::store::{StoreError, UserStore};
use crate::clock::Timestamp;
use crate::ids::UserId;

const COUNTER: &str = "users";
const DIRECTORY_OF_ALL: &str = "USERS";
const ENABLED_ADMIN: &str = "ADMIN";
/// A copy of the address, because an index cannot be filtered by what it is sorted by.
const ADDRESS: &str = "address";

#[async_trait]
impl UserStore for DynamoStore {
    async fn lookup(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        match ids {
            [] => Ok(Vec::new()),
            [id] => {
                let found = self.get(&USERS, key(USERS.key.name, id.as_str())).await?;
                found.iter().map(read).collect()
            }
            ids => {
                let keys = ids.iter().map(|id| (&USERS, id.as_str().to_owned()));
                self.batch_get(keys).await?.iter().map(|(_, item)| read(item)).collect()
            }
        }
    }

    async fn by_email(&self, email: &str) -> Result<Option<UserRecord>, StoreError> {
        let id = match self.holder(&address_key(email)).await? {
            Some(id) => Some(id),
            // Somebody whom another program put into the table has no unique name. The index may be behind; what it
            // says is checked below.
            None => {
                let query = Query::of_index(&USERS, &USERS_BY_EMAIL, email);
                let found = if email.is_empty() { Vec::new() } else { self.first(&query, 1).await? };
                found.first().map(|user| Fields::of("user", user).text("userId")).transpose()?
            }
        };
        let Some(id) = id else { return Ok(None) };
        let user = self.get(&USERS, key(USERS.key.name, id)).await?;
        let user = user.as_ref().map(read).transpose()?;
        Ok(user.filter(|user| user.email == email))
    }

    async fn search(&self, part: &str, after: &str, limit: usize) -> Result<Vec<UserRecord>, StoreError> {
        let query = Query::of_index(&USERS, &USERS_BY_ADDRESS, DIRECTORY_OF_ALL);
        let query = query.after(after).holding("email", part);
        self.first(&query, limit).await?.iter().map(read).collect()
    }

    async fn put(&self, record: UserRecord) -> Result<u64, StoreError> {
        self.put_if_admin(record, None).await
    }

    async fn put_beside_admin(&self, record: UserRecord, admin: &UserId) -> Result<u64, StoreError> {
        self.put_if_admin(record, Some(admin)).await
    }

    async fn enabled_admins(&self, limit: usize) -> Result<Vec<UserRecord>, StoreError> {
        let query = Query::of_index(&USERS, &ADMINS_BY_ADDRESS, ENABLED_ADMIN);
        self.first(&query, limit).await?.iter().map(read).collect()
    }

    async fn any(&self) -> Result<bool, StoreError> {
        Ok(self.counter(COUNTER).await? > 0)
    }
}

impl DynamoStore {
    /// Stores a user over the one that has this revision, if `admin` is an administrator who can sign in.
    async fn put_if_admin(&self, record: UserRecord, admin: Option<&UserId>) -> Result<u64, StoreError> {
        let next = record.revision + 1;
        // Mostly the address stays. When it does not, the refusal tells which one is to be given up.
        let mut address = record.email.clone();
        loop {
            match self.put_user(&record, &address, admin).await {
                Ok(()) => return Ok(next),
                Err(NotDone::Refused(refused)) => {
                    let stored = refused.first().filter(|first| first.at == 0 && record.revision > 0);
                    let stored = stored.and_then(|first| first.stored.as_ref());
                    let stored = stored.map(read).transpose()?;
                    match stored
                        .filter(|stored| stored.revision == record.revision && stored.email != address)
                    {
                        Some(stored) => address = stored.email,
                        None => return Err(NotDone::Refused(refused).into()),
                    }
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Stores a user over the one that has this revision and address.
    async fn put_user(
        &self,
        record: &UserRecord,
        address: &str,
        admin: Option<&UserId>,
    ) -> Result<(), NotDone> {
        let id = record.id.as_str();
        let conflict = || Unless::Conflict(format!("user `{id}`"));
        let taken = || format!("the e-mail address `{}`", record.email);
        let item = write(&UserRecord { revision: record.revision + 1, ..record.clone() })?;
        let mut writes = Transaction::new(self);
        if record.revision == 0 {
            writes.put_if(&USERS, item, Condition::absent(&USERS), conflict())?;
            writes.take(&address_key(&record.email), id, taken())?;
            writes.count(COUNTER, 1);
        } else {
            let same = Condition::is("revision", number(record.revision)).and("email", "=", text(address));
            writes.put_if(&USERS, item, same, conflict())?;
            if address != record.email {
                writes.take(&address_key(&record.email), id, taken())?;
                writes.release(&address_key(address), id, format!("user `{id}`"));
            }
        }
        if let Some(admin) = admin {
            let enabled = Condition::is(ADMINS_BY_ADDRESS.key.name, text(ENABLED_ADMIN));
            let unless = Unless::Conflict(format!("user `{admin}`"));
            writes.check(&USERS, key(USERS.key.name, admin.as_str()), enabled, unless);
        }
        writes.run().await
    }
}

fn address_key(email: &str) -> String {
    unique("EMAIL", email)
}

fn write(record: &UserRecord) -> Result<Item, StoreError> {
    let mut item = Item::new()
        .text(USERS.key.name, record.id.as_str())
        .text("email", &record.email)
        .text(ADDRESS, &record.email)
        .text(DIRECTORY.name, DIRECTORY_OF_ALL)
        .text("name", &record.name)
        .word("role", record.role)?
        .text("passwordHash", &record.password_hash)
        .number("tokenVersion", record.token_version)
        .flag("isDisabled", record.disabled)
        .time("createdAt", record.created_at)
        .number("revision", record.revision);
    if record.role == Role::Admin && !record.disabled {
        item = item.text(ADMINS_BY_ADDRESS.key.name, ENABLED_ADMIN);
    }
    if let Some(bytes) = record.scan_bytes_max {
        item = item.number("scanBytesMax", bytes);
    }
    Ok(item)
}

fn read(item: &Attributes) -> Result<UserRecord, StoreError> {
    let item = Fields::of("user", item);
    let scan_bytes_max = item.number_or("scanBytesMax", u64::MAX)?;
    Ok(UserRecord {
        id: item.parsed(USERS.key.name)?,
        email: item.text("email")?,
        name: item.text_or_empty("name"),
        role: item.word("role")?,
        password_hash: item.text("passwordHash")?,
        token_version: item.number_or("tokenVersion", 0)?,
        disabled: item.flag("isDisabled"),
        scan_bytes_max: (scan_bytes_max != u64::MAX).then_some(scan_bytes_max),
        created_at: item.time_or("createdAt", Timestamp::from_seconds(0))?,
        revision: item.number_or("revision", 1)?,
    })
}

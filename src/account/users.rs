//! Users: adding, finding and changing them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Passwords, email};
use crate::auth::{Action, Object, Principal, Role, authorize, operator_id};
use crate::catalog::record::UserRecord;
use crate::catalog::store::UserStore;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::UserId;
use crate::limits::PAGE_ITEMS_MAX;

/// Longest name of a person, in characters.
const NAME_CHARS_MAX: usize = 100;

/// Most users that a search returns.
const SEARCH_MAX: usize = 100;

/// A user to be.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    pub email: &'a str,
    /// Empty for the part of the address before the `@`.
    pub name: &'a str,
    pub role: Role,
    pub password: &'a str,
}

/// What to change; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserChange<'a> {
    pub name: Option<&'a str>,
    pub role: Option<Role>,
    /// Disabling ends tokens and keys at once.
    pub disabled: Option<bool>,
    /// Ends all tokens of the user.
    pub password: Option<&'a str>,
    /// Bytes that a query of theirs may read; `Some(None)` for what the service is set to.
    pub scan_bytes_max: Option<Option<u64>>,
}

/// The users of the service.
#[derive(Debug)]
pub struct Users {
    store: Arc<dyn UserStore>,
    passwords: Arc<Passwords>,
}

impl Users {
    #[must_use]
    pub fn new(store: Arc<dyn UserStore>, passwords: Arc<Passwords>) -> Self {
        Self { store, passwords }
    }

    /// Adds a user.
    ///
    /// # Errors
    /// `Forbidden` for others than administrators, `Invalid` for a bad address, name or password,
    /// `Duplicate` for an address in use.
    pub async fn add(&self, by: &Principal, user: NewUser<'_>, now: Timestamp) -> Result<UserRecord, Error> {
        authorize(by, Action::AdministerUsers, &Object::Service)?;
        self.create(user, now).await
    }

    /// Adds a user on nobody's behalf: the first one.
    pub(super) async fn create(&self, user: NewUser<'_>, now: Timestamp) -> Result<UserRecord, Error> {
        let email = email::normalise(user.email)?;
        let name = match user.name.trim() {
            "" => email.split('@').next().unwrap_or_default().to_owned(),
            name => check_name(name)?,
        };
        // Before the hash, which is dear; `put` decides between two that race.
        if self.store.by_email(&email).await?.is_some() {
            return Err(Error::Duplicate(format!("the e-mail address `{email}` is taken")));
        }
        let mut record = UserRecord {
            id: UserId::random(),
            email,
            name,
            role: user.role,
            password_hash: self.passwords.hash_new(user.password).await?,
            token_version: 0,
            disabled: false,
            scan_bytes_max: None,
            created_at: now,
            revision: 0,
        };
        record.revision = self.store.put(record.clone()).await?;
        Ok(record)
    }

    /// Users whose address holds `part`, by address; none for an empty `part`.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn search(&self, by: &Principal, part: &str, limit: usize) -> Result<Vec<UserRecord>, Error> {
        authorize(by, Action::FindUsers, &Object::Service)?;
        let part = part.trim().to_lowercase();
        if part.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.search(&part, "", limit.clamp(1, SEARCH_MAX)).await?)
    }

    /// All users by address, for administrators.
    ///
    /// # Errors
    /// `Forbidden` for others than administrators.
    pub async fn list(&self, by: &Principal) -> Result<Vec<UserRecord>, Error> {
        authorize(by, Action::AdministerUsers, &Object::Service)?;
        let mut users: Vec<UserRecord> = Vec::new();
        loop {
            let after = users.last().map_or("", |user| user.email.as_str());
            let page = self.store.search("", after, PAGE_ITEMS_MAX).await?;
            let is_last = page.len() < PAGE_ITEMS_MAX;
            users.extend(page);
            if is_last {
                return Ok(users);
            }
        }
    }

    /// A user's profile: one's own, or any for administrators.
    ///
    /// # Errors
    /// `NotFound` when there is none, or none that the caller may see.
    pub async fn get(&self, by: &Principal, id: &UserId) -> Result<UserRecord, Error> {
        authorize(by, Action::ReadUser, &Object::User(id))?;
        self.store.get(id).await?.ok_or_else(|| Error::not_found("user", id))
    }

    /// The user with this address, for administrators.
    ///
    /// # Errors
    /// `Forbidden` for others, `NotFound` when there is none.
    pub async fn by_email(&self, by: &Principal, address: &str) -> Result<UserRecord, Error> {
        authorize(by, Action::AdministerUsers, &Object::Service)?;
        let address = email::normalise(address)?;
        self.store.by_email(&address).await?.ok_or_else(|| Error::not_found("user", address))
    }

    /// What to call this user, as [`Users::names_of`] says.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn name_of(&self, id: &UserId) -> Result<String, Error> {
        let mut names = self.names_of(&HashSet::from([id])).await?;
        Ok(names.remove(id).unwrap_or_else(|| id.to_string()))
    }

    /// What to call these users, as others may see it; the id where there is no such user any more.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn names_of(&self, ids: &HashSet<&UserId>) -> Result<HashMap<UserId, String>, Error> {
        let mut names: HashMap<UserId, String> =
            ids.iter().map(|id| ((*id).clone(), id.to_string())).collect();
        // Nobody signs in as the operator, so no record tells the name.
        if let Some(name) = names.get_mut(&operator_id()) {
            "operator".clone_into(name);
        }
        let stored: Vec<UserId> = names.keys().filter(|id| **id != operator_id()).cloned().collect();
        for page in stored.chunks(PAGE_ITEMS_MAX) {
            let found = self.store.lookup(page).await?;
            names.extend(found.into_iter().map(|user| (user.id, user.name)));
        }
        Ok(names)
    }

    /// Changes a user, all of it or nothing, and returns what is stored now.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden` for others than administrators, `Conflict` when somebody else changed
    /// the user meanwhile or nobody would be left to administer, `Invalid` for a bad name or password.
    pub async fn change(
        &self,
        by: &Principal,
        id: &UserId,
        change: UserChange<'_>,
    ) -> Result<UserRecord, Error> {
        authorize(by, Action::AdministerUsers, &Object::User(id))?;
        let new_hash = match change.password {
            Some(password) => Some(self.passwords.hash_new(password).await?),
            None => None,
        };
        let name = change.name.map(check_name).transpose()?;
        let mut user = self.store.get(id).await?.ok_or_else(|| Error::not_found("user", id))?;
        let was_admin = is_enabled_admin(&user);
        user.name = name.unwrap_or(user.name);
        user.role = change.role.unwrap_or(user.role);
        user.disabled = change.disabled.unwrap_or(user.disabled);
        user.scan_bytes_max = change.scan_bytes_max.unwrap_or(user.scan_bytes_max);
        if let Some(hash) = new_hash {
            user.password_hash = hash;
            user.token_version += 1;
        }
        user.revision = if was_admin && !is_enabled_admin(&user) {
            // The other one may be about to go too, on this replica or on another.
            let other = self.another_admin(id).await?;
            self.store.put_beside_admin(user.clone(), &other).await?
        } else {
            self.store.put(user.clone()).await?
        };
        Ok(user)
    }

    pub(super) async fn any(&self) -> Result<bool, Error> {
        Ok(self.store.any().await?)
    }

    async fn another_admin(&self, id: &UserId) -> Result<UserId, Error> {
        let admins = self.store.enabled_admins(2).await?;
        let other = admins.into_iter().map(|admin| admin.id).find(|admin| admin != id);
        other.ok_or_else(|| Error::Conflict {
            message: "this is the last administrator: make somebody else one first".to_owned(),
            details: serde_json::json!({}),
        })
    }
}

fn is_enabled_admin(user: &UserRecord) -> bool {
    user.role == Role::Admin && !user.disabled
}

fn check_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let n_chars = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&n_chars) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Error::invalid_field(
        "name",
        format!("`name` has {n_chars} characters; 1 to {NAME_CHARS_MAX} are expected, no control characters"),
    ))
}

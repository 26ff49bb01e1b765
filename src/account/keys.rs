//! API keys: made once, shown once, revoked any time.

use std::sync::Arc;

use crate::auth::{Action, Object, Principal, Scope, api_key, authorize};
use crate::catalog::record::KeyRecord;
use crate::catalog::store::{KeyStore, Stores, UserStore};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{KeyId, UserId};
use crate::limits::KEYS_PER_USER_MAX;

/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 100;

/// A key to be.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// Whose key it is; programs that hold it act as this user.
    pub owner: &'a UserId,
    pub name: &'a str,
    pub scope: Scope,
    pub expires_at: Option<Timestamp>,
}

/// A new key with its text, which is not kept and cannot be shown again.
#[derive(Debug)]
pub struct CreatedKey {
    pub record: KeyRecord,
    pub text: String,
}

/// The API keys of all users.
#[derive(Debug)]
pub struct Keys {
    keys: Arc<dyn KeyStore>,
    users: Arc<dyn UserStore>,
}

impl Keys {
    #[must_use]
    pub fn new(stores: &Stores) -> Self {
        Self { keys: Arc::clone(&stores.keys), users: Arc::clone(&stores.users) }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// `Invalid` for a bad name or an end in the past, `OverLimit` when the user has too many keys,
    /// `NotFound` for another user's, `Forbidden` with a read-only key.
    pub async fn create(&self, by: &Principal, new: NewKey<'_>, now: Timestamp) -> Result<CreatedKey, Error> {
        authorize(by, Action::ManageKeys, &Object::KeysOf(new.owner))?;
        let name = check_name(new.name)?;
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid_field("expires_at", "`expires_at` must lie in the future"));
        }
        if self.users.get(new.owner).await?.is_none() {
            return Err(Error::not_found("user", new.owner));
        }
        if self.keys.of_user(new.owner).await?.len() >= KEYS_PER_USER_MAX {
            return Err(Error::OverLimit(format!(
                "a user may have {KEYS_PER_USER_MAX} API keys: revoke one first"
            )));
        }
        let made = api_key::generate();
        let record = KeyRecord {
            id: made.id,
            user_id: new.owner.clone(),
            name,
            scope: new.scope,
            secret_sha256: made.sha256,
            created_at: now,
            expires_at: new.expires_at,
        };
        self.keys.add(record.clone()).await?;
        Ok(CreatedKey { record, text: made.text })
    }

    /// The keys of a user, newest first.
    ///
    /// # Errors
    /// `NotFound` for another user's, `Forbidden` with a read-only key.
    pub async fn list(&self, by: &Principal, owner: &UserId) -> Result<Vec<KeyRecord>, Error> {
        authorize(by, Action::ManageKeys, &Object::KeysOf(owner))?;
        Ok(self.keys.of_user(owner).await?)
    }

    /// Ends a key.
    ///
    /// # Errors
    /// `NotFound` when there is none, or it is another user's; `Forbidden` with a read-only key.
    pub async fn revoke(&self, by: &Principal, id: &KeyId) -> Result<(), Error> {
        let missing = || Error::not_found("key", id);
        let key = self.keys.get(id).await?.ok_or_else(missing)?;
        authorize(by, Action::ManageKeys, &Object::Key { id, owner: &key.user_id })?;
        if self.keys.remove(id).await? { Ok(()) } else { Err(missing()) }
    }
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

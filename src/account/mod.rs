//! Accounts: signing in and out, who a token or key belongs to, users, API keys, the first set-up.
//!
//! Why: `auth` decides, the store remembers; here the two meet, with what keeps guessing expensive:
//! one hash for every attempt, few at a time, and a growing delay per account. Every method that acts
//! for a caller takes the principal and asks `auth::authorize`. This folder must not know HTTP.

use std::sync::Arc;

use secrecy::SecretString;

mod backoff;
mod bearer;
mod email;
mod keys;
mod passwords;
mod setup;
mod sign_in;
#[cfg(test)]
mod tests;
mod users;

pub use keys::{CreatedKey, Keys, NewKey};
pub use passwords::Passwords;
pub use setup::{Setup, SetupCode};
pub use sign_in::{SignIn, Signed};
pub use users::{NewUser, UserChange, Users};

use self::backoff::Backoff;
use crate::audit_log::AuditLog;
use crate::auth::password::{Cost, Policy};
use crate::auth::token::{Algorithm, Tokens};
use crate::catalog::store::Stores;
use crate::error::Error;

/// What an operator chooses.
#[derive(Debug)]
pub struct AccountSettings {
    /// Signs tokens; at least 32 bytes.
    pub token_secret: SecretString,
    pub token_algorithm: Algorithm,
    pub token_lifetime_s: i64,
    pub password_policy: Policy,
    pub password_cost: Cost,
}

/// The services of this folder, wired together.
#[derive(Debug)]
pub struct Accounts {
    pub sign_in: SignIn,
    pub users: Arc<Users>,
    pub keys: Keys,
    pub setup: Setup,
    pub passwords: Arc<Passwords>,
}

impl Accounts {
    /// Wires the services over the stores, and notes in `audit` who signs in.
    ///
    /// # Errors
    /// `Invalid` when the secret or the lifetime of tokens will not do.
    pub fn new(stores: &Stores, audit: AuditLog, settings: &AccountSettings) -> Result<Self, Error> {
        let AccountSettings { token_secret, token_algorithm, token_lifetime_s, .. } = settings;
        let tokens = Tokens::new(token_secret, *token_algorithm, *token_lifetime_s)?;
        let passwords = Arc::new(Passwords::new(settings.password_policy, settings.password_cost));
        let users = Arc::new(Users::new(Arc::clone(&stores.users), Arc::clone(&passwords)));
        Ok(Self {
            sign_in: SignIn::new(stores, tokens, Arc::clone(&passwords), Backoff::default(), audit),
            keys: Keys::new(stores),
            setup: Setup::new(Arc::clone(&users)),
            users,
            passwords,
        })
    }
}

//! The first administrator. There is no default password: while there is no user, whoever reads the
//! code that the server prints at its start may use it once to become the administrator.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use super::{NewUser, Users};
use crate::auth::Role;
use crate::catalog::record::UserRecord;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::random_digits;

/// The one-time code, of 128 random bits. Kept in memory only.
#[derive(Clone)]
pub struct SetupCode(String);

impl SetupCode {
    /// The text to print for the operator.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode(…)")
    }
}

/// The set-up, while it is open.
#[derive(Debug)]
pub struct Setup {
    users: Arc<Users>,
    /// Held while the set-up completes, so that a code works once.
    code: Mutex<Option<SetupCode>>,
}

impl Setup {
    #[must_use]
    pub fn new(users: Arc<Users>) -> Self {
        Self { users, code: Mutex::new(None) }
    }

    /// Opens the set-up and returns its code, if there is no user at all; a former code ends.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn begin(&self) -> Result<Option<SetupCode>, Error> {
        let mut code = self.code.lock().await;
        *code = if self.users.any().await? { None } else { Some(SetupCode(random_digits())) };
        Ok(code.clone())
    }

    /// Makes the first administrator. A refused address or password leaves the code good.
    ///
    /// # Errors
    /// `Forbidden` for a wrong code or once there is any user, `Invalid` for a bad address, name or
    /// password.
    pub async fn complete(
        &self,
        code: &str,
        email: &str,
        password: &str,
        name: &str,
        now: Timestamp,
    ) -> Result<UserRecord, Error> {
        let mut open = self.code.lock().await;
        let good = open.as_ref().is_some_and(|open| open.0.as_bytes().ct_eq(code.trim().as_bytes()).into());
        if !good {
            return Err(Error::Forbidden("the set-up code is wrong, or the set-up was done".to_owned()));
        }
        if self.users.any().await? {
            *open = None;
            return Err(Error::Forbidden("the set-up was done: ask an administrator".to_owned()));
        }
        let user = self.users.create(NewUser { email, name, role: Role::Admin, password }, now).await?;
        *open = None;
        Ok(user)
    }
}

//! Signing in and out with a password.

use std::sync::Arc;

use serde_json::json;

use super::backoff::Backoff;
use super::{Passwords, email};
use crate::audit_log::{AuditLog, Entry};
use crate::auth::token::Tokens;
use crate::auth::{Action, Object, Principal, api_key, authorize};
use crate::catalog::record::{AuditEvent, UserRecord};
use crate::catalog::store::Stores;
use crate::clock::Timestamp;
use crate::error::{Error, Unauthenticated};

/// A sign-in that worked.
#[derive(Debug)]
pub struct Signed {
    pub token: String,
    pub expires_in_s: i64,
    pub user: UserRecord,
}

/// Turns passwords into tokens, and tokens and API keys into principals.
#[derive(Debug)]
pub struct SignIn {
    pub(super) stores: Stores,
    pub(super) tokens: Tokens,
    passwords: Arc<Passwords>,
    backoff: Backoff,
    audit: AuditLog,
}

impl SignIn {
    pub(super) fn new(
        stores: &Stores,
        tokens: Tokens,
        passwords: Arc<Passwords>,
        backoff: Backoff,
        audit: AuditLog,
    ) -> Self {
        Self { stores: stores.clone(), tokens, passwords, backoff, audit }
    }

    /// Signs a user in. An unknown address, a wrong password and a disabled user are told apart neither
    /// by the answer nor by the work done for it. (A hash of an older system takes its own time until
    /// the first good sign-in replaces it.)
    ///
    /// # Errors
    /// `Unauthenticated(BadCredentials)`, `RateLimited` after many failures for this address,
    /// `Unavailable` when too many sign in at once.
    pub async fn sign_in(
        &self,
        address: &str,
        password: &str,
        now: Timestamp,
        request_id: Option<&str>,
    ) -> Result<Signed, Error> {
        let address = email::normalise(address).ok();
        let user = match &address {
            Some(address) => {
                self.check_backoff(address, now)?;
                self.stores.users.by_email(address).await?
            }
            None => None,
        };
        let stored = user.as_ref().map(|user| user.password_hash.as_str());
        let verified = self.passwords.verify(password, stored).await?;
        let Some(user) = user.clone().filter(|user| verified.good && !user.disabled) else {
            self.failed(address.as_deref(), user.as_ref(), now, request_id).await;
            return Err(Error::Unauthenticated(Unauthenticated::BadCredentials));
        };
        self.backoff.succeeded(&user.email);
        let user = if verified.outdated { self.renew_hash(user, password).await } else { user };
        self.note(AuditEvent::UserLogin, &user, now, request_id).await;
        self.signed(user, now)
    }

    /// Ends a token before its time.
    ///
    /// # Errors
    /// `Unauthenticated` for a token that is not good any more, `Invalid` for an API key.
    pub async fn sign_out(&self, token: &str, now: Timestamp, request_id: Option<&str>) -> Result<(), Error> {
        if token.starts_with(api_key::PREFIX) {
            return Err(Error::invalid("an API key has not signed in: revoke it instead"));
        }
        let (claims, user) = self.check_token(token, now).await?;
        self.stores.tokens.revoke(&claims.jti, claims.expires_at()).await?;
        // Housekeeping, where the table grows; expired tokens are refused without it.
        if let Err(cause) = self.stores.tokens.forget_expired(now).await {
            tracing::warn!(error = ?cause, "cannot forget expired tokens");
        }
        self.note(AuditEvent::UserLogout, &user, now, request_id).await;
        Ok(())
    }

    /// Replaces the caller's own password. All their tokens end; the one returned is new.
    ///
    /// # Errors
    /// `Unauthenticated(BadCredentials)` when `current` is wrong, `RateLimited` after many such,
    /// `Invalid` when the policy refuses `new`, `Forbidden` with a read-only key.
    pub async fn change_password(
        &self,
        by: &Principal,
        current: &str,
        new: &str,
        now: Timestamp,
    ) -> Result<Signed, Error> {
        authorize(by, Action::ChangePassword, &Object::User(&by.user_id))?;
        self.check_backoff(&by.email, now)?;
        let missing = || Error::not_found("user", &by.user_id);
        let mut user = self.stores.users.get(&by.user_id).await?.ok_or_else(missing)?;
        if !self.passwords.verify(current, Some(&user.password_hash)).await?.good {
            self.backoff.failed(&user.email, now);
            return Err(Error::Unauthenticated(Unauthenticated::BadCredentials));
        }
        self.backoff.succeeded(&user.email);
        user.password_hash = self.passwords.hash_new(new).await?;
        user.token_version += 1;
        user.revision = self.stores.users.put(user.clone()).await?;
        self.signed(user, now)
    }

    fn signed(&self, user: UserRecord, now: Timestamp) -> Result<Signed, Error> {
        let (token, claims) = self.tokens.issue(&user.id, user.token_version, now)?;
        Ok(Signed { token, expires_in_s: claims.exp - claims.iat, user })
    }

    fn check_backoff(&self, address: &str, now: Timestamp) -> Result<(), Error> {
        match self.backoff.wait_s(address, now) {
            Some(retry_after_s) => Err(Error::RateLimited { retry_after_s }),
            None => Ok(()),
        }
    }

    /// Stores a hash of today's scheme and cost. A failure costs nothing: the next sign-in tries again.
    async fn renew_hash(&self, user: UserRecord, password: &str) -> UserRecord {
        let mut renewed = user.clone();
        let stored = async {
            renewed.password_hash = self.passwords.hash(password).await?;
            renewed.revision = self.stores.users.put(renewed.clone()).await?;
            Ok::<_, Error>(renewed)
        };
        stored.await.unwrap_or_else(|cause| {
            tracing::warn!(user.id = %user.id, error = ?cause, "cannot renew a password hash");
            user
        })
    }

    async fn failed(
        &self,
        address: Option<&str>,
        user: Option<&UserRecord>,
        now: Timestamp,
        request_id: Option<&str>,
    ) {
        if let Some(address) = address {
            self.backoff.failed(address, now);
        }
        let entry = Entry {
            event: AuditEvent::UserLoginFailed,
            by: user.map(|user| &user.id),
            target: ("user", user.map_or("", |user| user.id.as_str())),
            details: json!({ "email": address }),
            request_id,
        };
        self.audit.note(entry, now).await;
    }

    async fn note(&self, event: AuditEvent, user: &UserRecord, now: Timestamp, request_id: Option<&str>) {
        let target = ("user", user.id.as_str());
        let entry = Entry { event, by: Some(&user.id), target, details: json!({}), request_id };
        self.audit.note(entry, now).await;
    }
}

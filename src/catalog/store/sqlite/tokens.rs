//! Ended tokens, in the table `revoked_tokens`.

use async_trait::async_trait;
use rusqlite::named_params;

use super::SqliteStore;
use crate::catalog::store::{StoreError, TokenStore};
use crate::clock::Timestamp;

const REVOKE: &str = include_str!("../../../../sql/store/tokens_revoke.sql");

#[async_trait]
impl TokenStore for SqliteStore {
    async fn revoke(&self, jti: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let jti = jti.to_owned();
        self.database
            .write(move |tx| {
                let values = named_params! { ":jti": jti, ":expires_at": expires_at.micros() };
                tx.prepare_cached(REVOKE)?.execute(values)?;
                Ok(())
            })
            .await
    }

    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError> {
        let jti = jti.to_owned();
        let sql = "select exists (select 1 from revoked_tokens where jti = ?)";
        self.database
            .recall(("revoked_token", jti.clone()), 1, move |tx| {
                Ok(tx.prepare_cached(sql)?.query_row([jti], |row| row.get(0))?)
            })
            .await
    }

    async fn forget_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "delete from revoked_tokens where expires_at < ?";
        self.database.write(move |tx| Ok(tx.execute(sql, [now.micros()])? as u64)).await
    }
}

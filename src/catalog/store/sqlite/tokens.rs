//! Ended tokens, in the table `revoked_tokens`.

use async_trait::async_trait;
use rusqlite::named_params;

use super::SqliteStore;
use super::place::Place;
use crate::catalog::store::{Page, PageRequest, RevokedToken, StoreError, TokenStore};
use crate::clock::Timestamp;

const REVOKE: &str = include_str!("../../../../sql/store/tokens_revoke.sql");

const LIST: &str = include_str!("../../../../sql/store/tokens_list.sql");

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

    async fn revoked(&self, page: PageRequest) -> Result<Page<RevokedToken>, StoreError> {
        let place = Place::of(page, (i64::MIN, String::new()))?;
        self.database
            .read(move |tx| {
                let (expires_at, jti) = &place.after;
                let mut statement = tx.prepare_cached(LIST)?;
                let mut rows = statement.query(named_params! {
                    ":expires_at": expires_at, ":jti": jti, ":limit": place.row_limit(),
                })?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let (jti, expires_at): (String, i64) = (row.get(0)?, row.get(1)?);
                    let revoked =
                        RevokedToken { jti: jti.clone(), expires_at: Timestamp::from_micros(expires_at) };
                    found.push(((expires_at, jti), revoked));
                }
                place.page(found)
            })
            .await
    }

    async fn forget_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "delete from revoked_tokens where expires_at < ?";
        self.database.write(move |tx| Ok(tx.execute(sql, [now.micros()])? as u64)).await
    }
}

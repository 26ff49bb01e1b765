//! Ended tokens, in the table `revoked_tokens`. DynamoDB removes expired ones too, in its own time.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};

use super::DynamoStore;
use super::condition::Condition;
use super::error::failed;
use super::item::{Fields, Item, age, key, moment, number};
use super::page::{self, Query};
use super::schema::{AGE, DIRECTORY, EXPIRES_AT, REVOKED_BY_EXPIRY, REVOKED_TOKENS};
use crate::catalog::store::{Page, PageRequest, RevokedToken, StoreError, TokenStore};
use crate::clock::Timestamp;
use crate::limits::PAGE_ITEMS_MAX;

const DIRECTORY_OF_ALL: &str = "REVOKED";
/// Tokens that are forgotten at the same time.
const FORGOTTEN_AT_ONCE: usize = 8;
const EXPIRY_MICROS: &str = "expiresAtMicros";

#[async_trait]
impl TokenStore for DynamoStore {
    async fn revoke(&self, jti: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let item = Item::new()
            .text(REVOKED_TOKENS.key.name, jti)
            .time("expiresAt", expires_at)
            // Rounded up: DynamoDB may remove it from this second on.
            .number(EXPIRES_AT, expires_at.seconds() + 1)
            .text(DIRECTORY.name, DIRECTORY_OF_ALL)
            .text(AGE.name, age(expires_at, jti));
        let longer = Condition::absent(&REVOKED_TOKENS).or(EXPIRY_MICROS, "<", number(expires_at.micros()));
        let call = self.client.put_item().table_name(self.name(&REVOKED_TOKENS));
        let call = call
            .set_item(Some(item.finish(|| "a token".to_owned())?))
            .set_condition_expression(longer.expression())
            .set_expression_attribute_names(longer.names())
            .set_expression_attribute_values(longer.values());
        match call.send().await {
            Ok(_) => Ok(()),
            // It is ended already, and for as long.
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError> {
        Ok(self.get(&REVOKED_TOKENS, key(REVOKED_TOKENS.key.name, jti)).await?.is_some())
    }

    async fn revoked(&self, request: PageRequest) -> Result<Page<RevokedToken>, StoreError> {
        let query = Query::of_index(&REVOKED_TOKENS, &REVOKED_BY_EXPIRY, DIRECTORY_OF_ALL);
        page::read(self.page(query, request).await?, |item| {
            let fields = Fields::of("token", item);
            Ok(RevokedToken {
                jti: fields.text(REVOKED_TOKENS.key.name)?,
                expires_at: Timestamp::from_micros(fields.number(EXPIRY_MICROS)?),
            })
        })
    }

    async fn forget_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let query =
            Query::of_index(&REVOKED_TOKENS, &REVOKED_BY_EXPIRY, DIRECTORY_OF_ALL).before(moment(now));
        let expired = self.first(&query, PAGE_ITEMS_MAX).await?;
        let mut calls = Vec::new();
        for item in &expired {
            calls.push(self.forget(Fields::of("token", item).text(REVOKED_TOKENS.key.name)?, now));
        }
        let calls = futures::stream::iter(calls).buffer_unordered(FORGOTTEN_AT_ONCE);
        let forgotten: Vec<bool> = calls.try_collect().await?;
        Ok(forgotten.into_iter().filter(|forgotten| *forgotten).count() as u64)
    }
}

impl DynamoStore {
    /// Forgets a token unless it was ended again, for longer, since the index was read.
    async fn forget(&self, jti: String, now: Timestamp) -> Result<bool, StoreError> {
        let expired = Condition::present(&REVOKED_TOKENS).and(EXPIRY_MICROS, "<", number(now.micros()));
        let call = self
            .client
            .delete_item()
            .table_name(self.name(&REVOKED_TOKENS))
            .set_key(Some(key(REVOKED_TOKENS.key.name, jti)))
            .set_condition_expression(expired.expression())
            .set_expression_attribute_names(expired.names())
            .set_expression_attribute_values(expired.values());
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

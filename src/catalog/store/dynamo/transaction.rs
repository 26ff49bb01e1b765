//! Writes that happen together or not at all.
//!
//! Each write under a condition goes through here, also a single one: a transaction has a token by which DynamoDB knows
//! an attempt that is sent again, so that a lost answer does not turn one's own success into somebody else's conflict.
//! An outcome that stays unknown is settled by reading the first item back, which carries an id of this very write.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};

use super::condition::Condition;
use super::error::{THROTTLED, failed, outcome_is_unknown, told};
use super::item::{Attributes, Item, key, number};
use super::schema::{COUNTERS, Table};
use super::{DynamoStore, pause};
use crate::catalog::store::StoreError;
use crate::ids::random_digits;

/// Writes of one transaction that DynamoDB takes.
pub(super) const ACTIONS_MAX: usize = 100;
/// How often a transaction is tried against others that write the same items.
const ATTEMPTS_MAX: u32 = 10;
/// The attribute of the first item by which a write knows itself again.
const WRITE_ID: &str = "writeId";

/// What it means that the condition of a write does not hold; the text names the thing.
#[derive(Debug, Clone)]
pub(super) enum Unless {
    Conflict(String),
    Taken(String),
}

impl From<Unless> for StoreError {
    fn from(unless: Unless) -> Self {
        match unless {
            Unless::Conflict(what) => Self::Conflict(what),
            Unless::Taken(what) => Self::Taken(what),
        }
    }
}

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum NotDone {
    /// Conditions that do not hold, in the order of the writes.
    Refused(Vec<Refused>),
    Failed(StoreError),
}

/// A write whose condition does not hold.
#[derive(Debug)]
pub(super) struct Refused {
    /// Which of the writes, from 0.
    pub(super) at: usize,
    pub(super) unless: Unless,
    /// What is stored instead.
    pub(super) stored: Option<Attributes>,
}

impl From<NotDone> for StoreError {
    fn from(outcome: NotDone) -> Self {
        match outcome {
            NotDone::Failed(error) => error,
            NotDone::Refused(refused) => match refused.into_iter().next() {
                Some(first) => first.unless.into(),
                None => Self::Corrupt("a transaction was cancelled for no reason".to_owned()),
            },
        }
    }
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

#[derive(Debug)]
enum Action {
    Put { table: &'static Table, item: Attributes, condition: Option<(Condition, Unless)> },
    Delete { table: &'static Table, key: Attributes, condition: Option<(Condition, Unless)> },
    Check { table: &'static Table, key: Attributes, condition: (Condition, Unless) },
    Count { counter: String, by: i64 },
}

/// Writes to be made together.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    store: &'a DynamoStore,
    write_id: String,
    actions: Vec<Action>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(store: &'a DynamoStore) -> Self {
        Self { store, write_id: random_digits(), actions: Vec::new() }
    }

    /// Puts an item if the condition holds of what is stored under its key.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(super) fn put_if(
        &mut self,
        table: &'static Table,
        item: Item,
        condition: Condition,
        unless: Unless,
    ) -> Result<&mut Self, StoreError> {
        let what = match &unless {
            Unless::Conflict(what) | Unless::Taken(what) => what.clone(),
        };
        self.add_put(table, item, Some((condition, unless)), what)
    }

    /// Puts an item over whatever there is.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(super) fn put(
        &mut self,
        table: &'static Table,
        item: Item,
        what: String,
    ) -> Result<&mut Self, StoreError> {
        self.add_put(table, item, None, what)
    }

    fn add_put(
        &mut self,
        table: &'static Table,
        mut item: Item,
        condition: Option<(Condition, Unless)>,
        what: String,
    ) -> Result<&mut Self, StoreError> {
        if self.actions.is_empty() {
            item = item.text(WRITE_ID, &self.write_id);
        }
        let item = item.finish(|| what)?;
        self.actions.push(Action::Put { table, item, condition });
        Ok(self)
    }

    /// Removes an item if the condition holds of it.
    pub(super) fn delete_if(
        &mut self,
        table: &'static Table,
        key: Attributes,
        condition: Condition,
        unless: Unless,
    ) -> &mut Self {
        self.actions.push(Action::Delete { table, key, condition: Some((condition, unless)) });
        self
    }

    /// Removes an item, if it is there.
    pub(super) fn delete(&mut self, table: &'static Table, key: Attributes) -> &mut Self {
        self.actions.push(Action::Delete { table, key, condition: None });
        self
    }

    /// Writes nothing, but only lets the others happen if the condition holds.
    pub(super) fn check(
        &mut self,
        table: &'static Table,
        key: Attributes,
        condition: Condition,
        unless: Unless,
    ) -> &mut Self {
        self.actions.push(Action::Check { table, key, condition: (condition, unless) });
        self
    }

    /// Adds to a counter.
    pub(super) fn count(&mut self, counter: impl Into<String>, by: i64) -> &mut Self {
        if by != 0 {
            self.actions.push(Action::Count { counter: counter.into(), by });
        }
        self
    }

    /// Whether DynamoDB takes so many writes together.
    pub(super) fn fits(&self) -> bool {
        self.actions.len() <= ACTIONS_MAX
    }

    /// Makes the writes.
    ///
    /// # Errors
    /// Which conditions did not hold; `Unavailable` when others were always faster, or when nothing tells whether it
    /// happened.
    pub(super) async fn run(&self) -> Result<(), NotDone> {
        debug_assert!(self.fits());
        let mut crowded = String::new();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                pause(attempt).await;
            }
            let Err(error) = self.send().await? else { return Ok(()) };
            if outcome_is_unknown(&error) {
                return self.settle(failed(error)).await;
            }
            let Some(reasons) = reasons(&error) else { return Err(failed(error).into()) };
            let refused = self.refused(reasons);
            // A token is known for ten minutes; the id of the write is for good.
            let ours = refused.first().filter(|first| first.at == 0).and_then(|first| first.stored.as_ref());
            if ours.is_some_and(|stored| self.is_ours(stored)) {
                return Ok(());
            }
            if !refused.is_empty() {
                return Err(NotDone::Refused(refused));
            }
            if let Some(reason) = reasons.iter().find(|reason| !may_pass(reason)) {
                let (code, message) = (reason.code().unwrap_or(""), reason.message().unwrap_or(""));
                return Err(StoreError::Corrupt(format!("{code}: {message}")).into());
            }
            crowded = told(&error);
        }
        Err(StoreError::Unavailable(crowded.into()).into())
    }

    async fn send(&self) -> Result<Result<(), SdkError<TransactWriteItemsError, HttpResponse>>, StoreError> {
        let items = self.actions.iter().map(|action| self.wire(action)).collect::<Result<Vec<_>, _>>()?;
        // A token for each attempt: one that was cancelled is another transaction when it is tried again.
        let call = self.store.client.transact_write_items();
        let call = call.set_transact_items(Some(items)).client_request_token(random_digits());
        Ok(call.send().await.map(drop))
    }

    fn wire(&self, action: &Action) -> Result<TransactWriteItem, StoreError> {
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let wire = TransactWriteItem::builder();
        Ok(match action {
            Action::Put { table, item, condition } => {
                let condition = condition.as_ref().map(|(condition, _)| condition);
                let put = Put::builder()
                    .table_name(self.store.name(table))
                    .set_item(Some(item.clone()))
                    .set_condition_expression(condition.and_then(Condition::expression))
                    .set_expression_attribute_names(condition.and_then(Condition::names))
                    .set_expression_attribute_values(condition.and_then(Condition::values))
                    .return_values_on_condition_check_failure(old);
                wire.put(put.build()?)
            }
            Action::Delete { table, key, condition } => {
                let condition = condition.as_ref().map(|(condition, _)| condition);
                let delete = Delete::builder()
                    .table_name(self.store.name(table))
                    .set_key(Some(key.clone()))
                    .set_condition_expression(condition.and_then(Condition::expression))
                    .set_expression_attribute_names(condition.and_then(Condition::names))
                    .set_expression_attribute_values(condition.and_then(Condition::values))
                    .return_values_on_condition_check_failure(old);
                wire.delete(delete.build()?)
            }
            Action::Check { table, key, condition: (condition, _) } => {
                let check = ConditionCheck::builder()
                    .table_name(self.store.name(table))
                    .set_key(Some(key.clone()))
                    .set_condition_expression(condition.expression())
                    .set_expression_attribute_names(condition.names())
                    .set_expression_attribute_values(condition.values());
                wire.condition_check(check.build()?)
            }
            Action::Count { counter, by } => {
                let update = Update::builder()
                    .table_name(self.store.name(&COUNTERS))
                    .set_key(Some(key(COUNTERS.key.name, counter)))
                    .update_expression("ADD itemCount :by")
                    .expression_attribute_values(":by", number(by));
                wire.update(update.build()?)
            }
        }
        .build())
    }

    fn refused(&self, reasons: &[CancellationReason]) -> Vec<Refused> {
        let failed = reasons.iter().enumerate().filter(|(_, reason)| is(reason, "ConditionalCheckFailed"));
        let refused = failed.filter_map(|(at, reason)| {
            let (_, unless) = match self.actions.get(at)? {
                Action::Put { condition, .. } | Action::Delete { condition, .. } => condition.as_ref()?,
                Action::Check { condition, .. } => condition,
                Action::Count { .. } => return None,
            };
            Some(Refused { at, unless: unless.clone(), stored: reason.item.clone() })
        });
        refused.collect()
    }

    /// Whether the first write is there, which all others came with.
    async fn settle(&self, unknown: StoreError) -> Result<(), NotDone> {
        let done = match self.actions.first() {
            Some(Action::Put { table, item, .. }) => {
                let key = table
                    .key_attributes()
                    .filter_map(|key| Some((key.name.to_owned(), item.get(key.name)?.clone())));
                let stored = self.store.get(table, key.collect()).await;
                stored.is_ok_and(|stored| stored.is_some_and(|stored| self.is_ours(&stored)))
            }
            Some(Action::Delete { table, key, .. }) => {
                self.store.get(table, key.clone()).await.is_ok_and(|stored| stored.is_none())
            }
            Some(Action::Check { .. } | Action::Count { .. }) | None => false,
        };
        if done { Ok(()) } else { Err(unknown.into()) }
    }

    /// Whether this transaction wrote the item.
    fn is_ours(&self, stored: &Attributes) -> bool {
        stored.get(WRITE_ID) == Some(&AttributeValue::S(self.write_id.clone()))
    }
}

fn is(reason: &CancellationReason, code: &str) -> bool {
    reason.code() == Some(code)
}

/// Whether another try may find things different.
fn may_pass(reason: &CancellationReason) -> bool {
    let code = reason.code().unwrap_or("None");
    matches!(code, "None" | "TransactionConflict") || THROTTLED.contains(&code)
}

/// Why a transaction was cancelled, a reason for each write; `None` when it failed in another way.
fn reasons(error: &SdkError<TransactWriteItemsError, HttpResponse>) -> Option<&[CancellationReason]> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

//! Pages of an index. A cursor is the index with the sort key of the last item seen: a page goes on strictly after it,
//! so items that come or go meanwhile make no item appear twice and hide none that was there all along.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::DynamoStore;
use super::error::failed;
use super::item::{Attributes, number, text};
use super::schema::{Index, Key, Kind, Table};
use crate::catalog::store::{Cursor, Page, PageRequest, StoreError};
use crate::limits::PAGE_ITEMS_MAX;

/// Items with one first attribute of a key, by the second.
#[derive(Debug, Clone)]
pub(super) struct Query<'a> {
    table: &'a Table,
    /// `None` for the table's own key, which is read consistently.
    index: Option<&'a Index>,
    key: Key,
    sort: Key,
    value: String,
    descending: bool,
    /// Bounds of the sort key, both excluded.
    after: Option<String>,
    before: Option<String>,
    /// Attributes of which the item's text must hold another.
    holds: Option<(&'a str, String)>,
}

impl<'a> Query<'a> {
    /// Items of an index, in its order.
    pub(super) fn of_index(table: &'a Table, index: &'a Index, value: impl Into<String>) -> Self {
        let sort = index.sort.unwrap_or(index.key);
        Self::new(table, Some(index), index.key, sort, value.into())
    }

    /// Items of a table with this first attribute of their primary key.
    pub(super) fn of_table(table: &'a Table, value: impl Into<String>) -> Self {
        let sort = table.sort.unwrap_or(table.key);
        Self::new(table, None, table.key, sort, value.into())
    }

    fn new(table: &'a Table, index: Option<&'a Index>, key: Key, sort: Key, value: String) -> Self {
        let (after, before, holds) = (None, None, None);
        Self { table, index, key, sort, value, descending: false, after, before, holds }
    }

    /// The newest or highest first.
    pub(super) fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Only what sorts before `bound`.
    pub(super) fn before(mut self, bound: impl Into<String>) -> Self {
        self.before = Some(bound.into());
        self
    }

    /// Only what sorts after `bound`, if it is not empty.
    pub(super) fn after(mut self, bound: &str) -> Self {
        self.after = (!bound.is_empty()).then(|| bound.to_owned());
        self
    }

    /// Only items whose attribute holds `part`, if it is not empty. It reads the others too.
    pub(super) fn holding(mut self, attribute: &'a str, part: &str) -> Self {
        self.holds = (!part.is_empty()).then(|| (attribute, part.to_owned()));
        self
    }

    fn place(&self) -> &'static str {
        self.index.map_or(self.table.name, |index| index.name)
    }

    /// Goes on where a cursor says.
    fn going_on(self, cursor: Option<Cursor>) -> Result<Self, StoreError> {
        let Some(Cursor(cursor)) = cursor else { return Ok(self) };
        let foreign = || StoreError::Corrupt(format!("`{cursor}` is no cursor of this index"));
        let sort = cursor.strip_prefix(self.place()).and_then(|rest| rest.strip_prefix('|'));
        let sort = sort.ok_or_else(foreign)?.to_owned();
        let is_number =
            |sort: &str| !sort.is_empty() && sort.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b));
        if self.sort.kind == Kind::Number && !is_number(&sort) {
            return Err(foreign());
        }
        Ok(if self.descending { self.before(sort) } else { self.after(&sort) })
    }

    /// The condition on keys, its names and its values.
    fn condition(&self) -> (String, HashMap<String, String>, HashMap<String, AttributeValue>) {
        let bound = |bound: &str| match self.sort.kind {
            Kind::Text => text(bound),
            Kind::Number => number(bound),
        };
        let mut condition = "#k = :k".to_owned();
        let mut names = HashMap::from([("#k".to_owned(), self.key.name.to_owned())]);
        let mut values = HashMap::from([(":k".to_owned(), text(&self.value))]);
        // A condition has one term for the sort key. `between` includes its bounds, so the lower one is the next text
        // there can be; no item is as short as an upper bound.
        let (term, low, high) = match (&self.after, &self.before) {
            (None, None) => return (condition, names, values),
            (Some(after), None) => (" AND #s > :low", Some(bound(after)), None),
            (None, Some(before)) => (" AND #s < :high", None, Some(bound(before))),
            (Some(after), Some(before)) => {
                let low = text(format!("{after}\0"));
                (" AND #s BETWEEN :low AND :high", Some(low), Some(bound(before)))
            }
        };
        condition.push_str(term);
        names.insert("#s".to_owned(), self.sort.name.to_owned());
        values.extend(low.map(|low| (":low".to_owned(), low)));
        values.extend(high.map(|high| (":high".to_owned(), high)));
        (condition, names, values)
    }
}

impl DynamoStore {
    /// A page, and where the next one begins.
    pub(super) async fn page(
        &self,
        query: Query<'_>,
        request: PageRequest,
    ) -> Result<Page<Attributes>, StoreError> {
        let limit = request.limit.clamp(1, PAGE_ITEMS_MAX);
        let query = query.going_on(request.after)?;
        // One more than the page holds tells whether there is a next one.
        let mut items = self.first(&query, limit + 1).await?;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| has_more).and_then(|item| item.get(query.sort.name));
        let next = match last {
            Some(AttributeValue::S(sort) | AttributeValue::N(sort)) => {
                Some(Cursor(format!("{}|{sort}", query.place())))
            }
            _ => None,
        };
        Ok(Page { items, next })
    }

    /// The first `count` items, over as many calls as that takes: one returns a megabyte at most.
    pub(super) async fn first(&self, query: &Query<'_>, count: usize) -> Result<Vec<Attributes>, StoreError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let (condition, mut names, mut values) = query.condition();
            let filter = query.holds.as_ref().map(|(attribute, part)| {
                names.insert("#h".to_owned(), (*attribute).to_owned());
                values.insert(":h".to_owned(), text(part));
                "contains(#h, :h)".to_owned()
            });
            // A limit counts what is read before the filter, so under a filter each call reads what it can.
            let left = i32::try_from(count - items.len()).unwrap_or(i32::MAX);
            let call = self
                .client
                .query()
                .table_name(self.name(query.table))
                .set_index_name(query.index.map(|index| index.name.to_owned()))
                .consistent_read(query.index.is_none())
                .key_condition_expression(condition)
                .set_limit(filter.is_none().then_some(left))
                .set_filter_expression(filter)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(values))
                .scan_index_forward(!query.descending)
                .set_exclusive_start_key(from);
            let answer = call.send().await.map_err(failed)?;
            items.extend(answer.items.unwrap_or_default());
            from = answer.last_evaluated_key;
            if items.len() >= count || from.is_none() {
                items.truncate(count);
                return Ok(items);
            }
        }
    }
}

/// A page of records.
pub(super) fn read<T>(
    page: Page<Attributes>,
    record: impl Fn(&Attributes) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let items = page.items.iter().map(record).collect::<Result<_, _>>()?;
    Ok(Page { items, next: page.next })
}

//! Keyset cursors: the sort key of the last item seen, as JSON. A page goes on strictly after it, so
//! rows that come or go meanwhile make no item appear twice and hide none that was there all along.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::store::{Cursor, Page, PageRequest, StoreError};
use crate::limits::PAGE_ITEMS_MAX;

/// Where a page starts and how long it is.
#[derive(Debug)]
pub(super) struct Place<K> {
    /// The sort key that the page comes after.
    pub(super) after: K,
    n_items: usize,
}

impl<K: Serialize + DeserializeOwned> Place<K> {
    /// Reads a request; `start` is a key that sorts before every item.
    pub(super) fn of(page: PageRequest, start: K) -> Result<Self, StoreError> {
        let after = match page.after {
            None => start,
            Some(Cursor(text)) => serde_json::from_str(&text)
                .map_err(|_| StoreError::Corrupt(format!("`{text}` is no cursor of this index")))?,
        };
        Ok(Self { after, n_items: page.limit.clamp(1, PAGE_ITEMS_MAX) })
    }

    /// Rows to ask for: one more than the page holds tells whether there is a next page.
    pub(super) fn row_limit(&self) -> i64 {
        i64::try_from(self.n_items + 1).unwrap_or(i64::MAX)
    }

    /// The page of these items, each with its sort key.
    pub(super) fn page<T>(&self, mut found: Vec<(K, T)>) -> Result<Page<T>, StoreError> {
        let has_more = found.len() > self.n_items;
        found.truncate(self.n_items);
        let next = match found.last() {
            Some((key, _)) if has_more => Some(Cursor(super::doc::write(key)?)),
            _ => None,
        };
        Ok(Page { items: found.into_iter().map(|(_, item)| item).collect(), next })
    }
}

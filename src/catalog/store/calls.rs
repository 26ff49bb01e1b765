//! How often a store asked its server, for tests that give a request a budget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Calls by the operation they ask for. The embedded store makes none. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct StoreCalls(Arc<Mutex<BTreeMap<String, u64>>>);

impl StoreCalls {
    /// What was counted since the last time.
    pub fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::catalog::store) fn count(&self, operation: &str) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(operation.to_owned()).or_default() += 1;
    }
}

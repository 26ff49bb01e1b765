//! Statements that were parsed and guarded, by their text. A kept answer then costs neither.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::engine::statement::{self, Statement};
use crate::error::Result;

/// A longer text is parsed each time: its tree may be large, and whoever sends it is in no hurry.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// How much longer than its text a tree is, by a generous estimate.
const TREE_BYTES_PER_BYTE: u64 = 64;

/// How much is kept.
const BYTES_MAX: u64 = 16 << 20;
const ENTRIES_EXPECTED: usize = 1000;

/// What was parsed.
#[derive(Debug)]
pub(in crate::engine) struct Statements(Cache<String, Arc<Statement>, ByText>);

#[derive(Debug, Clone)]
struct ByText;

impl Weighter<String, Arc<Statement>> for ByText {
    fn weight(&self, text: &String, _: &Arc<Statement>) -> u64 {
        (text.len() as u64 + 1) * TREE_BYTES_PER_BYTE
    }
}

impl Default for Statements {
    fn default() -> Self {
        Self(Cache::with_weighter(ENTRIES_EXPECTED, BYTES_MAX, ByText))
    }
}

impl Statements {
    /// The statement of `text`.
    ///
    /// # Errors
    /// As [`statement::parse`]; what is wrong is looked at each time.
    pub(in crate::engine) fn parse(&self, text: &str) -> Result<Arc<Statement>> {
        if text.len() > TEXT_BYTES_MAX {
            return statement::parse(text).map(Arc::new);
        }
        self.0.get_or_insert_with(text, || statement::parse(text).map(Arc::new))
    }
}

//! Where specs may run instead of here.

use std::fmt;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::sort::Batches;
use super::spec::QuerySpec;
use crate::error::Result;

/// Runs specs apart from this process, so that what a statement does to the process that runs it is done to nobody
/// else. [`Engine::run`](super::Engine::run) asks it when it is there.
#[async_trait]
pub trait Isolation: fmt::Debug + Send + Sync {
    /// Plans and starts `spec`; its rows come one more than its limit, so that whoever cuts them knows whether there
    /// were more. Dropping the future or the rows ends the query.
    ///
    /// # Errors
    /// The same as in this process, and `OverLimit` or `Internal` when the process that ran it ended with it.
    async fn run(&self, spec: QuerySpec) -> Result<(SchemaRef, Batches)>;
}

//! From one installation to another: records and objects, whatever stores keep them. Backup and restore are the same.
//!
//! ```text
//!  users, keys, sign-outs, macros ─▶ of each dataset, version by version: objects, then the record
//!    ─▶ transforms with their executions ─▶ logs
//! ```
//!
//! Why record after objects: what the target shows is whole at every moment, so a copy that was cut off is a smaller
//! installation and not a broken one, and the next one goes on from there. The source is only read. This stage must not
//! know which stores there are, nor that anybody asks for rows.

use std::sync::Arc;

use object_store::ObjectStore;

use crate::catalog::store::Stores;
use crate::error::Result;

mod accounts;
mod datasets;
mod logs;
mod objects;
mod transforms;

/// One end of a copy.
#[derive(Debug, Clone)]
pub struct Side {
    pub stores: Stores,
    pub objects: Arc<dyn ObjectStore>,
}

/// What a copy came to. What was at the target already, and the same, does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    pub users: u64,
    pub keys: u64,
    pub sign_outs: u64,
    pub macros: u64,
    pub datasets: u64,
    pub versions: u64,
    pub objects: u64,
    pub object_bytes: u64,
    /// Objects that were read back at the target and found to be what was written at the source.
    pub objects_verified: u64,
    pub transforms: u64,
    pub executions: u64,
    pub audit_records: u64,
    pub queries: u64,
}

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Read every object of the target back, those that were there before too.
    pub verify: bool,
    /// Is told of each dataset, before its objects are copied.
    pub tell: fn(&str),
}

/// Brings `to` to where `from` is. Nothing that is only at the target is removed.
///
/// # Errors
/// `Damaged` for an object of the source, or with `verify` of the target, that is not what was written; `Duplicate` for
/// a name, an address or a due time that something else has at the target; `Unavailable`, `StorageFull`.
pub async fn copy(from: &Side, to: &Side, options: &Options) -> Result<Copied> {
    let mut copied = Copied::default();
    let users = accounts::users(from, to, &mut copied).await?;
    accounts::keys(from, to, &users, &mut copied).await?;
    accounts::sign_outs(from, to, &mut copied).await?;
    accounts::macros(from, to, &users, &mut copied).await?;
    datasets::datasets(from, to, options, &mut copied).await?;
    transforms::transforms(from, to, &mut copied).await?;
    logs::audit(from, to, &mut copied).await?;
    logs::history(from, to, &mut copied).await?;
    Ok(copied)
}

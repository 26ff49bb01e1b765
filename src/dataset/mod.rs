//! Datasets: from a file somebody has to an immutable version that everybody can query.
//!
//! ```text
//!  source ─▶ decode ─▶ rows ─▶ engine::sort ─▶ write ─▶ publish ─▶ a new current version
//!  file, S3   what is   parsed   when asked     Parquet,  manifest,     │
//!            it?       in order                hashed    one commit    ▼
//!                                                        versions, look, profile, reimport
//!                                                        collect (what nothing names), check
//! ```
//!
//! Why: a dataset is replaced, never changed. Whatever makes rows writes new files, describes them in a
//! manifest, and moves one pointer; whatever reads them pins a version. This stage must not know HTTP,
//! nor how a statement is run.

pub mod check;
pub mod collect;
pub mod decode;
pub mod diff;
mod failure;
pub mod import;
pub mod jobs;
pub mod look;
pub mod made;
pub mod profile;
pub mod progress;
mod publish;
pub mod quarantine;
pub mod reimport;
mod rows;
pub mod schema_change;
mod service;
pub mod source;
mod unnamed;
pub mod versions;
pub mod write;

use import::Imported;
use reimport::Reimported;

/// What an import job comes to.
#[derive(Debug)]
pub enum Outcome {
    Created(Box<Imported>),
    Reimported(Reimported),
}

pub use service::{Caller, DatasetPatch, Datasets, Listed, Settings};

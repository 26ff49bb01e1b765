//! Transforms: code that makes a dataset of other datasets, run by hand or by the clock.
//!
//! ```text
//!  define ─▶ service            a transform as it is kept: checked when it is written
//!                 │
//!  schedule ─▶ execute ─▶ run ─▶ sql │ python ─▶ stage ─▶ gate ─▶ put in force, in one commit with the end of the execution
//!  (or a person)          │      rows come        a version that      │
//!                         lease  from somewhere   nothing names       checks; a failed one keeps the old version
//! ```
//!
//! Why here: a run reads as any query does, with its owner's rights, and writes as any import does; what is added is
//! that it happens exactly once for each time it is due, and that nobody reads its rows before they are found good.
//! This folder must not know HTTP, nor which store is behind the ports.

mod define;
mod execute;
mod gate;
mod graph;
mod incremental;
mod live;
mod params;
mod pass;
mod preview;
mod produce;
mod python;
mod quote;
mod run;
pub mod schedule;
mod service;
mod sql;

pub use define::TransformDraft;
pub use execute::{Execute, Started};
pub use graph::{Broken, Edge, Graph, Node, NodeKind};
pub use live::Running;
pub use preview::{Preview, PreviewRequest, Sample};
pub use service::{Settings, Transforms, no_params};

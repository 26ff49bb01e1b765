//! From the bytes of an unknown file to typed Arrow batches.
//!
//! ```text
//! Source ─▶ inspect ─▶ Contract ─▶ open ─▶ Chunk, Chunk, …  ─▶ Chunk::parse (any thread) ─▶ Parsed
//!             ▲                                                                        │
//!             └──────────── infer_all / inspect_again, then open again ◀── misfits ────┘
//! ```
//!
//! Reading is sequential and cheap; parsing is pure and runs on as many threads as there are. CSV, NDJSON and XLSX
//! become blocks of text cells, for which there is one inference and one conversion; Parquet and Arrow IPC bring
//! their types. What is found in the first megabyte is a guess until every row agreed: a value that contradicts it is
//! a [`Misfit`], never a silent null. What the user named is not a guess: a row that contradicts it is a [`BadRow`].
//!
//! Knows no store, catalog, configuration or server, and nothing asynchronous: callers run it on blocking threads.

mod cells;
mod chunk;
mod column_type;
mod contract;
mod convert;
mod csv;
mod cut;
mod dates;
mod detect;
mod encoding;
mod error;
mod grammar;
mod header;
mod infer;
mod inspect;
mod ipc;
mod limits;
mod marks;
mod ndjson;
mod options;
mod parquet;
mod plan;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod tokenise;
mod typed;
mod utf16;
mod values;
mod xlsx;

pub use chunk::{Chunk, Misfit, Parsed};
pub use column_type::ColumnType;
pub use contract::{Basis, Compression, Contract, ContractColumn, Format, Terminator};
pub use detect::needs_file;
pub use encoding::TextEncoding;
pub use error::{BadKind, BadRow, DecodeError, LimitName, RAW_BYTES_MAX};
pub use inspect::{Inspection, infer_all, inspect, inspect_again};
pub use limits::DecodeLimits;
pub use options::{NULL_VALUES, ReadOptions};
pub use plan::Plan;
pub use reader::{ChunkReader, open};
pub use source::{Progress, ReadSeek, RemoteFile, Source};

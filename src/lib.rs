//! Shirabe: a self-hosted BI and SQL analytics service.
//!
//! ```text
//!  bytes in                                                        bytes out
//!     │                                                                ▲
//!     ▼                                                                │
//!  server/http ─▶ auth ─▶ catalog ─▶ engine ──────▶ QueryStream ─▶ encode
//!    parse, find   who,    resolve    session,        batches,      Arrow IPC, JSON,
//!    the caller    may?    names to   limits, run     cancel on     NDJSON, CSV,
//!                          versions       │           drop          Parquet
//!                              │          │
//!            catalog/store (SQLite, DynamoDB) storage (folder, S3)
//! ```
//!
//! `dataset` (imports, versions), `macros` (expressions with names) and `account` (sign-in, users, keys) stand
//! beside the engine. The modules below are in reading order; each opens with what it is, why, and what it must not know.

pub mod block_sums;
pub mod checked_ipc;
pub mod cidr;
pub mod clock;
pub mod config;
pub mod error;
mod file_name;
pub mod ids;
pub mod limits;
pub mod machine;
pub mod tasks;
pub mod telemetry;
pub mod write_steps;

pub mod audit_log;
pub mod auth;
pub mod catalog;
pub mod encode;
pub mod engine;
pub mod executor;
pub mod sql_worker;
pub mod storage;

pub mod account;
pub mod dataset;
pub mod macros;
pub mod transfer;
pub mod transform;

pub mod cli;
pub mod server;

pub mod app;
pub mod clockwork;
pub mod data_folder;
pub mod embedded;
pub mod health;
pub mod places;

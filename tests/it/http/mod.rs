//! The HTTP door, answer by answer.
//!
//! Why whole answers: a client sees status, headers and body together, and each of them is part of the contract. It must
//! not test what a stage below already tests by itself.

mod access;
mod accounts;
mod ask;
mod auth;
mod bad_input;
mod cache;
mod datasets;
mod document;
mod export;
mod forgeries;
mod functions;
mod health;
mod listen;
mod load;
mod log;
mod macros;
mod openapi;
mod query;
mod query_list;
mod reimport;
mod scan_limit;
mod versions;

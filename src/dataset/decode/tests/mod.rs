//! Whole files in, batches out.

mod bad_input;
mod csv;
mod encodings;
mod hostile;
mod ndjson;
mod support;
mod xlsx;

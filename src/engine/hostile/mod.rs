//! Tests only: statements that mean harm, or may as well.
//!
//! Why: each that is bounded in one place finds another. `corpus.rs` holds those that have ended a process, `fuzz.rs`
//! makes up new ones by `grammar.rs`. Nothing here knows how a statement is bounded, only how it has to end.

mod tests;

//! Who is calling, and may they? Principals, tokens, API keys, passwords, and the one table of rights.
//!
//! Why apart: every door asks the same two questions and must get the same answers. All of it is pure:
//! time, secrets and stored hashes come in as arguments. This folder must not know stores or HTTP.

pub mod api_key;
mod authorize;
pub mod password;
mod principal;
pub mod token;
#[cfg(test)]
mod token_tests;

pub use authorize::{Action, Object, authorize};
pub use principal::{Principal, Role, Scope, operator_id};

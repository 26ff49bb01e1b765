//! The HTTP door, answer by answer.
//!
//! Why whole answers: a client sees status, headers and body together, and each of them is part of the contract. It must
//! not test what a stage below already tests by itself.

mod auth;
mod door;
mod keys;
mod listen;
mod openapi;
mod users;

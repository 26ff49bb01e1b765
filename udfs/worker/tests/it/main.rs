//! The worker as the service meets it: through `shirabe_wire::host`, on every tier.

// Says to clippy what is true anyway: helpers here are test code too, and may unwrap.
#![cfg(test)]

mod corpus;
mod ends;
mod frames;
mod libraries;
mod memory;
mod place;
mod processes;
mod support;
mod unprivileged;

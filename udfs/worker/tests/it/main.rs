//! The worker as the service meets it: through `shirabe_wire::host`, on every tier.

mod corpus;
mod ends;
mod frames;
mod libraries;
mod processes;
mod support;
mod unprivileged;

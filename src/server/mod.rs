//! The doors: protocols we listen on. HTTP is the first; others stand beside it in folders of their own.
//!
//! Why a stage: a door reads a request, finds the caller, asks the domain once, and shows the answer.
//! It must not know a backend, the environment, or a rule of who may do what.

pub mod http;

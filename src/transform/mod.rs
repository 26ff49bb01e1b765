//! Transforms: code that makes a dataset of others, run by a person or by the clock.

pub mod schedule;

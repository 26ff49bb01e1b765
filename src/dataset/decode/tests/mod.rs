//! Whole files in, batches out.

//! Datasets: from the bytes of a file to a published, immutable version.

pub mod decode;

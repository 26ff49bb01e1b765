//! Bounds on what one file may ask of us. A hostile file runs into these before it runs us out of memory.

/// All sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeLimits {
    pub field_bytes: usize,
    pub record_bytes: usize,
    pub columns: usize,
    /// How many bytes may come out for one that goes in, once more than `ratio_free_bytes` came out.
    pub ratio: u64,
    pub ratio_free_bytes: u64,
    /// All that may come out of a compressed file; `None`: only the ratio counts.
    pub decompressed_bytes: Option<u64>,
    /// One batch of a Parquet or Arrow file, once its strings stand side by side.
    pub batch_bytes: usize,
    /// What a chunk of text aims at.
    pub chunk_bytes: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            field_bytes: 1 << 20,
            record_bytes: 16 << 20,
            columns: 10_000,
            ratio: 250,
            ratio_free_bytes: 64 << 20,
            decompressed_bytes: None,
            batch_bytes: 64 << 20,
            chunk_bytes: 1 << 20,
        }
    }
}

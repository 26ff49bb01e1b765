//! Bounds that are part of what the service is. What an operator may tune lives in `config`.

/// API keys that one user may hold.
pub const KEYS_PER_USER_MAX: usize = 100;

/// Longest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 64 * 1024;

/// Tables that one statement may name.
pub const TABLES_PER_STATEMENT_MAX: usize = 64;

/// Columns of a dataset.
pub const COLUMNS_MAX: usize = 10_000;

/// Rows that an import may set aside, whatever its caller asks for.
pub const BAD_ROWS_MAX: u64 = 100_000;

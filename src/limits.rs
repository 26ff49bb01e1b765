//! Bounds that are part of what the service is. What an operator may tune lives in `config`.

use std::time::Duration;

/// API keys that one user may hold.
pub const KEYS_PER_USER_MAX: usize = 100;

/// Longest password, in bytes: hashing must not be a way to keep the processor busy.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Passwords that are hashed at the same time; each takes the memory of `auth::password::Cost`.
pub const PASSWORD_HASHES_MAX: usize = 2;

/// Callers that may wait for their turn to hash; the next is told to come back later.
pub const PASSWORD_HASHES_WAITING_MAX: usize = 32;

/// Accounts whose failed sign-ins are remembered at the same time.
pub const SIGN_IN_FAILURES_TRACKED_MAX: usize = 10_000;

/// Longest token or API key that is looked at, in bytes; ours are far shorter.
pub const BEARER_BYTES_MAX: usize = 4 * 1024;

/// Items of one page of an index query in the metadata store.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// Longest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 64 * 1024;

/// Tables that one statement may name.
pub const TABLES_PER_STATEMENT_MAX: usize = 64;

/// Parts of a statement (expressions, SELECTs, set operations) when its common table expressions are written
/// out where they are used. Values in an IN list count as nothing.
pub const STATEMENT_NODES_MAX: u64 = 10_000;

/// How deep an expression of a statement may be; `a + b + c` is two deep.
pub const EXPRESSION_DEPTH_MAX: usize = 256;

/// UNION, EXCEPT and INTERSECT of one query.
pub const SET_OPERATIONS_MAX: u64 = 256;

/// Queries within a statement when its common table expressions are written out.
pub const SUB_QUERIES_MAX: u64 = 256;

/// Window functions of a statement when its common table expressions are written out: each may sort anew.
pub const WINDOWS_MAX: u64 = 256;

/// Bytes of names and literals of a statement when its common table expressions are written out.
pub const WRITTEN_OUT_BYTES_MAX: u64 = 1 << 20;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 1_000;

/// Origins that the columns of a statement may have together.
pub const LINEAGE_ORIGINS_MAX: usize = 200_000;

/// The longest that planning a statement may take.
pub const PLANNING_TIME_MAX: Duration = Duration::from_secs(10);

/// Statements that may wait to be planned.
pub const PLANNINGS_WAITING_MAX: usize = 1_024;

/// Threads that may be busy with statements nobody waits for any more; then no more are taken.
pub const PLANNERS_LOST_MAX: usize = 6;

/// Columns that one SELECT may list.
pub const COLUMNS_PER_RESULT_MAX: u64 = 2_000;

/// Groupings that one GROUP BY may stand for.
pub const GROUPING_SETS_MAX: u64 = 64;

/// Parameters of one query.
pub const PARAMETERS_MAX: usize = 256;

/// Values of one parameter that is a list.
pub const PARAMETER_VALUES_MAX: usize = 10_000;

/// Bytes that one call of a function may make of one batch. An allocation that fails ends the process, and what a
/// function makes is not counted anywhere.
pub const FUNCTION_RESULT_BYTES_MAX: u64 = 64 << 20;

/// Steps that one call of a function may take on one batch, such as comparing two characters. Nothing can stop a
/// call, and a core does some hundred million steps a second.
pub const FUNCTION_STEPS_MAX: u64 = 1 << 27;

/// Bytes that all calls of a query may make at the same time.
pub const FUNCTIONS_RESULT_BYTES_MAX: u64 = 512 << 20;

/// Steps that all calls of a query may take on one batch.
pub const FUNCTIONS_STEPS_MAX: u64 = 1 << 28;

/// States of a pattern: what is repeated counts as often as it may be.
pub const PATTERN_STATES_MAX: u64 = 50_000;

/// Longest pattern of `LIKE`, in bytes.
pub const LIKE_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a list that is the same in all rows.
pub const CONSTANT_LIST_BYTES_MAX: u64 = 2 << 20;

/// Parts of the type of a value: a field of a structure, an element of a list.
pub const TYPE_PARTS_MAX: usize = 2_000;

/// Bytes that a type of a fixed size may take in each row.
pub const FIXED_SIZE_BYTES_MAX: u64 = 8 * 1024;

/// Centroids of an approximate percentile.
pub const CENTROIDS_MAX: i64 = 10_000;

/// Rows of a frame, before and after, over which a window may collect values.
pub const FRAME_ROWS_MAX: u64 = 1_000;

/// Longest code of a transform, in bytes.
pub const CODE_BYTES_MAX: usize = 256 * 1024;

/// Checks of one transform.
pub const CHECKS_MAX: usize = 100;

/// Columns of a dataset.
pub const COLUMNS_MAX: usize = 10_000;

/// Rows that an import may set aside, whatever its caller asks for.
pub const BAD_ROWS_MAX: u64 = 100_000;

/// Objects below a prefix that are imported as one dataset.
pub const OBJECTS_PER_IMPORT_MAX: usize = 10_000;

/// Files of one version: a dataset split by days has at least one a day.
pub const FILES_PER_VERSION_MAX: usize = 20_000;

/// Macros that one user may have, and that may be shared with all.
pub const MACROS_PER_SCOPE_MAX: usize = 200;

/// Macros that one statement may call, without those that they call themselves.
pub const MACROS_PER_STATEMENT_MAX: usize = 64;

/// Macros that may call one another, one within the other.
pub const MACRO_DEPTH_MAX: usize = 8;

/// Values that a macro may take.
pub const MACRO_PARAMETERS_MAX: usize = 16;

/// Longest expression of a macro, in bytes.
pub const MACRO_EXPRESSION_BYTES_MAX: usize = 4 * 1024;

/// How long the id of a commit is known: the writer that lost the answer asks within minutes.
pub const COMMITS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Inputs of a transform. A transaction of DynamoDB has room for a change from so many to as many others.
pub const TRANSFORM_INPUTS_MAX: usize = 40;

/// Due times of one transform that are looked at in one tick of the scheduler.
pub const DUE_TIMES_PER_TICK_MAX: usize = 1_000;

/// Due times that one backfill may ask for.
pub const BACKFILL_DUE_TIMES_MAX: usize = 1_000;

/// Executions that the scheduler of one process has under way at the same time.
pub const SCHEDULED_RUNS_MAX: usize = 4;

/// How long a process answers for an execution without saying so again.
pub const EXECUTION_LEASE: Duration = Duration::from_secs(30);

/// How often it says so again.
pub const EXECUTION_LEASE_RENEWAL: Duration = Duration::from_secs(10);

/// How often a process looks for executions that nobody answers for.
pub const EXECUTION_SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// How long a due time counts as on time, if the scheduler looks often enough.
pub const DUE_GRACE: Duration = Duration::from_secs(5 * 60);

/// A pebibyte, in MiB: whoever sets a limit to more has made a mistake.
pub const MB_MAX: u64 = 1 << 30;

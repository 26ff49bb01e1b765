//! Logs and metrics: how they are set up, and the names of all metrics in one list.
//!
//! Why here: whoever alarms on a metric or greps a log reads this file and nothing else. Code that counts
//! something uses a name from [`METRICS`] with the `metrics` macros. It must not know who counts what.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::error::{Error, Result};

/// Answers, by `method`, `route` (the template, never the path) and `status`.
pub const HTTP_REQUESTS: &str = "shirabe_http_requests_total";
/// Seconds until the head of the answer, by `method` and `route`.
pub const HTTP_DURATION: &str = "shirabe_http_request_duration_seconds";
/// Requests whose answer is not complete.
pub const HTTP_IN_FLIGHT: &str = "shirabe_http_requests_in_flight";
/// Calls that were refused by a rate limit, by `limit`.
pub const RATE_LIMITED: &str = "shirabe_rate_limited_total";
/// Sign-ins that failed.
pub const LOGIN_FAILURES: &str = "shirabe_login_failures_total";
/// Queries, previews and exports whose work has not ended.
pub const QUERIES_RUNNING: &str = "shirabe_queries_running";
/// Queries that wait for their turn.
pub const QUERIES_QUEUED: &str = "shirabe_queries_queued";
/// Queries that ended, by `kind` and `outcome`.
pub const QUERIES: &str = "shirabe_queries_total";
/// Seconds from a query's arrival to its end, by `kind`.
pub const QUERY_DURATION: &str = "shirabe_query_duration_seconds";
/// Seconds that a query waited for its turn.
pub const QUERY_QUEUE_DURATION: &str = "shirabe_query_queue_duration_seconds";
/// Times that the store did not take ended queries; they are offered again.
pub const HISTORY_WRITE_FAILURES: &str = "shirabe_query_history_write_failures_total";
/// Ended queries that found no room to wait for the store, and are not in the history.
pub const HISTORY_DROPPED: &str = "shirabe_query_history_dropped_total";
/// Statements by `use` of the result cache: `hit`, `miss`, `bypass`.
pub const RESULT_CACHE: &str = "shirabe_result_cache_total";
/// Footers of files by `use` of their cache: `hit`, `miss`.
pub const FOOTER_CACHE: &str = "shirabe_footer_cache_total";
/// Files of scans by `use` of the columns that are kept decoded: `hit`, `miss`.
pub const HOT_COLUMNS: &str = "shirabe_hot_columns_total";
/// Bytes of columns that are kept decoded.
pub const HOT_COLUMN_BYTES: &str = "shirabe_hot_column_bytes";
/// Results that were dropped from the cache to make room.
pub const RESULT_CACHE_EVICTIONS: &str = "shirabe_result_cache_evictions_total";
/// Requests to S3 by `operation`, each time they are made.
pub const OBJECT_REQUESTS: &str = "shirabe_object_requests_total";
/// Requests to S3 that failed, by `operation` and `status`; those that are tried again are among them.
pub const OBJECT_FAILURES: &str = "shirabe_object_failures_total";
/// Requests to S3 that were made again because they had failed, by `operation`.
pub const OBJECT_RETRIES: &str = "shirabe_object_retries_total";
/// Reads from S3 that were made a second time because the answer was late, by whether the `first` or the `second`
/// request was `answered_by`, or `none`.
pub const OBJECT_HEDGES: &str = "shirabe_object_hedges_total";
/// Requests to S3 that were not made again because too many were, by `kind`: `retry`, `hedge`.
pub const OBJECT_BUDGET_REFUSALS: &str = "shirabe_object_budget_refusals_total";
/// Bytes of objects in S3 by `direction`: `sent`, `received`.
pub const OBJECT_BYTES: &str = "shirabe_object_bytes_total";
/// Parts of objects in S3 by `use` of the cache on the disk: `hit`, `miss`.
pub const OBJECT_CACHE: &str = "shirabe_object_cache_total";
/// What that cache holds.
pub const OBJECT_CACHE_BYTES: &str = "shirabe_object_cache_bytes";
/// Audit records that the store did not take at once.
pub const AUDIT_WRITE_FAILURES: &str = "shirabe_audit_write_failures_total";
/// Audit records that wait for the store.
pub const AUDIT_QUEUED: &str = "shirabe_audit_records_queued";
/// Audit records that neither the store nor the queue took: they are in the log only.
pub const AUDIT_DROPPED: &str = "shirabe_audit_records_dropped_total";
/// Calls to DynamoDB, each attempt, by `operation`.
pub const STORE_CALLS: &str = "shirabe_store_calls_total";
/// Calls to DynamoDB that it refused because of load.
pub const STORE_THROTTLED: &str = "shirabe_store_throttled_total";
/// Runs of Python whose process is not dead.
pub const PYTHON_RUNNING: &str = "shirabe_python_runs_running";
/// Runs of Python that wait for their turn.
pub const PYTHON_QUEUED: &str = "shirabe_python_runs_queued";
/// Memory that runs of Python may take, or that holds what they left.
pub const PYTHON_MEMORY_RESERVED: &str = "shirabe_python_memory_reserved_bytes";
/// Inputs of runs of Python by `use` of those that are kept: `hit`, `miss`.
pub const PYTHON_INPUTS: &str = "shirabe_python_inputs_total";
/// Bytes of inputs that are kept.
pub const PYTHON_INPUT_BYTES: &str = "shirabe_python_input_bytes";
/// Runs of Python that ended, by `class` (`card`, `transform`) and `outcome`.
pub const PYTHON_RUNS: &str = "shirabe_python_runs_total";
/// Seconds from the turn of a run of Python to its end, by `class`.
pub const PYTHON_DURATION: &str = "shirabe_python_run_duration_seconds";
/// 1 for the `tier` by which runs of Python are confined.
pub const SANDBOX_TIER: &str = "shirabe_sandbox_tier";
/// Looks of the scheduler at what is due.
pub const SCHEDULER_TICKS: &str = "shirabe_scheduler_ticks_total";
/// Looks that came to no end, and transforms that could not be started; both are tried again.
pub const SCHEDULER_FAILURES: &str = "shirabe_scheduler_failures_total";
/// Executions that were begun without a person who waits, by `reason`; each attempt after an interruption counts.
pub const SCHEDULER_STARTED: &str = "shirabe_scheduler_started_total";
/// Executions that nobody answered for, by `outcome`: `again`, `failed`.
pub const SCHEDULER_TAKEOVERS: &str = "shirabe_scheduler_takeovers_total";
/// Seconds from a due time to the beginning of its execution.
pub const SCHEDULER_LATENESS: &str = "shirabe_scheduler_lateness_seconds";
/// Executions of transforms that ended, by `status`.
pub const TRANSFORMS: &str = "shirabe_transform_executions_total";
/// Requests that ended in a panic, which is a bug.
pub const PANICS: &str = "shirabe_panics_total";
/// CPU time of the process.
pub const PROCESS_CPU: &str = "process_cpu_seconds_total";
/// Memory of the process that is in RAM.
pub const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
/// Threads of the process.
pub const PROCESS_THREADS: &str = "process_threads";

/// What a metric is, as Prometheus shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: name, kind and help.
pub const METRICS: &[(&str, Kind, &str)] = &[
    (HTTP_REQUESTS, Kind::Counter, "answers by method, route and status"),
    (HTTP_DURATION, Kind::Histogram, "seconds until the head of the answer by method and route"),
    (HTTP_IN_FLIGHT, Kind::Gauge, "requests whose answer is not complete"),
    (RATE_LIMITED, Kind::Counter, "calls refused by a rate limit, by limit"),
    (LOGIN_FAILURES, Kind::Counter, "sign-ins that failed"),
    (QUERIES_RUNNING, Kind::Gauge, "queries, previews and exports whose work has not ended"),
    (QUERIES_QUEUED, Kind::Gauge, "queries that wait for their turn"),
    (QUERIES, Kind::Counter, "queries that ended, by kind and outcome"),
    (QUERY_DURATION, Kind::Histogram, "seconds from a query's arrival to its end, by kind"),
    (QUERY_QUEUE_DURATION, Kind::Histogram, "seconds that a query waited for its turn"),
    (HISTORY_WRITE_FAILURES, Kind::Counter, "times that the store did not take ended queries"),
    (HISTORY_DROPPED, Kind::Counter, "ended queries that are not in the history"),
    (RESULT_CACHE, Kind::Counter, "statements by use of the result cache"),
    (FOOTER_CACHE, Kind::Counter, "footers of files by use of their cache"),
    (HOT_COLUMNS, Kind::Counter, "files of scans by use of the columns that are kept decoded"),
    (HOT_COLUMN_BYTES, Kind::Gauge, "bytes of columns that are kept decoded"),
    (RESULT_CACHE_EVICTIONS, Kind::Counter, "results dropped from the cache to make room"),
    (OBJECT_REQUESTS, Kind::Counter, "requests to S3 by operation"),
    (OBJECT_FAILURES, Kind::Counter, "requests to S3 that failed, by operation and status"),
    (OBJECT_RETRIES, Kind::Counter, "requests to S3 that were made again after a failure, by operation"),
    (OBJECT_HEDGES, Kind::Counter, "late reads from S3 that were made twice, by which request was answered"),
    (OBJECT_BUDGET_REFUSALS, Kind::Counter, "requests to S3 not made again for lack of budget, by kind"),
    (OBJECT_BYTES, Kind::Counter, "bytes of requests to S3 and of their answers, by direction"),
    (OBJECT_CACHE, Kind::Counter, "parts of objects in S3 by use of their cache on the disk"),
    (OBJECT_CACHE_BYTES, Kind::Gauge, "bytes of parts of objects that are kept on the disk"),
    (AUDIT_WRITE_FAILURES, Kind::Counter, "audit records that the store did not take at once"),
    (AUDIT_QUEUED, Kind::Gauge, "audit records that wait for the store"),
    (AUDIT_DROPPED, Kind::Counter, "audit records that are in the log only"),
    (STORE_CALLS, Kind::Counter, "calls to DynamoDB, by operation"),
    (STORE_THROTTLED, Kind::Counter, "calls that DynamoDB refused because of load"),
    (PYTHON_RUNNING, Kind::Gauge, "runs of Python whose process is not dead"),
    (PYTHON_QUEUED, Kind::Gauge, "runs of Python that wait for their turn"),
    (PYTHON_MEMORY_RESERVED, Kind::Gauge, "memory that runs of Python may take or have left something in"),
    (PYTHON_INPUTS, Kind::Counter, "inputs of runs of Python by use of those that are kept"),
    (
        PYTHON_INPUT_BYTES,
        Kind::Gauge,
        "bytes of inputs of Python that are kept for runs that ask for the same",
    ),
    (PYTHON_RUNS, Kind::Counter, "runs of Python that ended, by class and outcome"),
    (PYTHON_DURATION, Kind::Histogram, "seconds from a run's turn to its end, by class"),
    (SANDBOX_TIER, Kind::Gauge, "1 for the tier by which runs of Python are confined"),
    (SCHEDULER_TICKS, Kind::Counter, "looks of the scheduler at what is due"),
    (SCHEDULER_FAILURES, Kind::Counter, "looks of the scheduler and starts of transforms that failed"),
    (SCHEDULER_STARTED, Kind::Counter, "executions begun without a person who waits, by reason"),
    (SCHEDULER_TAKEOVERS, Kind::Counter, "executions that nobody answered for, by outcome"),
    (SCHEDULER_LATENESS, Kind::Histogram, "seconds from a due time to the beginning of its execution"),
    (TRANSFORMS, Kind::Counter, "executions of transforms that ended, by status"),
    (PANICS, Kind::Counter, "requests that ended in a panic"),
    (PROCESS_CPU, Kind::Gauge, "CPU time of the process in seconds"),
    (PROCESS_MEMORY, Kind::Gauge, "memory of the process that is in RAM, in bytes"),
    (PROCESS_THREADS, Kind::Gauge, "threads of the process"),
];

/// Bounds of the duration buckets in seconds: from a cached answer to a query at its deadline.
const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often samples are folded into buckets when nobody scrapes.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Sends log lines to standard error. A second call in one process changes nothing.
pub fn init_logs(config: LogConfig, stderr_is_terminal: bool) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries below INFO would print statements and paths, so the chosen level is for our own lines.
    let libraries = level.min(LevelFilter::INFO);
    let filter = EnvFilter::new(format!("{libraries},shirabe={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let by_terminal = if stderr_is_terminal { LogFormat::Console } else { LogFormat::Json };
    // The error says that logs were set up before, which is fine.
    let _ = match config.format.unwrap_or(by_terminal) {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Console => builder.with_ansi(stderr_is_terminal).try_init(),
    };
}

/// Says something to whoever started the service, at the terminal and not in the log: it may hold what
/// only they should see.
pub fn tell_operator(text: &str) {
    use std::io::Write as _;
    // Nobody may be there to read it; the service runs all the same.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The numbers of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Starts counting, once a process; later calls return the same numbers.
    ///
    /// # Errors
    /// `Internal` when another recorder was installed first.
    pub fn install() -> Result<Self> {
        static INSTALLED: OnceLock<Result<Metrics, String>> = OnceLock::new();
        INSTALLED.get_or_init(|| start().map_err(|cause| cause.to_string())).clone().map_err(Error::internal)
    }

    /// All numbers in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        observe_process();
        self.0.render()
    }

    /// Folds samples into buckets. To be called every [`UPKEEP_INTERVAL`], so that a service which nobody
    /// scrapes does not keep each sample.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn start() -> Result<Metrics, Box<dyn std::error::Error>> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS)?
        .build_recorder();
    let metrics = Metrics(recorder.handle());
    metrics::set_global_recorder(recorder)?;
    describe();
    Ok(metrics)
}

fn describe() {
    for (name, kind, help) in METRICS.iter().copied() {
        match kind {
            Kind::Counter => describe_counter!(name, help),
            Kind::Gauge => describe_gauge!(name, help),
            Kind::Histogram => describe_histogram!(name, Unit::Seconds, help),
        }
    }
}

/// Reads what Linux tells about this process; elsewhere these numbers are left out.
fn observe_process() {
    if let Some(status) = read_proc("/proc/self/status") {
        if let Some(kib) = field(&status, "VmRSS:") {
            gauge!(PROCESS_MEMORY).set(kib * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge!(PROCESS_THREADS).set(threads);
        }
    }
    if let Some(seconds) = read_proc("/proc/self/stat").as_deref().and_then(cpu_seconds) {
        gauge!(PROCESS_CPU).set(seconds);
    }
}

fn read_proc(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number after `name` in the form of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time in the form of `/proc/self/stat`. The command in brackets may hold blanks, so
/// fields count from behind it. The kernel tells these times in hundredths on every machine.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let status = "Name:\tshirabe\nVmRSS:\t   12345 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(12345.0));
        assert_eq!(field(status, "Threads:"), Some(7.0));
        assert_eq!(field(status, "VmSwap:"), None);
        let stat = "42 (a (b) c) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 100 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[test]
    fn metrics_are_rendered_with_their_help() {
        let metrics = Metrics::install().unwrap();
        metrics::counter!(HTTP_REQUESTS, "route" => "/api/health").increment(1);
        let text = metrics.render();
        assert!(text.contains("# HELP shirabe_http_requests_total answers by method"), "{text}");
        assert!(text.contains("shirabe_http_requests_total{route=\"/api/health\"}"), "{text}");
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for (name, kind, help) in METRICS.iter().copied() {
            assert_eq!(kind == Kind::Counter, name.ends_with("_total") && name != PROCESS_CPU, "{name}");
            assert!(!help.is_empty(), "{name}");
        }
    }
}

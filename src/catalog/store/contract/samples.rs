//! Transforms and executions with something in every field: all of it has to come back.

use serde_json::json;

use super::at;
use crate::catalog::transform::{
    Check, CheckResult, ExecutionFailure, ExecutionRecord, ExecutionStatus, FrameKind, Language, Lease,
    Missed, ReadVersion, Reason, Retries, Schedule, TransformInput, TransformRecord, TransformSettings,
    Trigger, Usage, WriteMode,
};
use crate::clock::Timestamp;
use crate::error::Code;
use crate::ids::{DatasetId, ExecutionId, TransformId, UserId};

/// All of a dataset.
pub(super) fn input(dataset: &DatasetId) -> TransformInput {
    TransformInput { dataset_id: dataset.clone(), alias: None, columns: None, filter: None }
}

/// A transform.
pub(in crate::catalog::store) fn new_transform(
    owner: &UserId,
    name: &str,
    created_at: Timestamp,
) -> TransformRecord {
    let whole = TransformInput {
        dataset_id: DatasetId::random(),
        alias: Some("売上".to_owned()),
        columns: Some(vec!["日付".to_owned(), "a \"b\"".to_owned()]),
        filter: Some("日付 >= DATE '2024-01-01' -- 🙂\n".to_owned()),
    };
    let checks = vec![
        Check::Unique { columns: vec!["id".to_owned()] },
        Check::Range { column: "n".to_owned(), min: Some(json!(9_007_199_254_740_993_u64)), max: None },
        Check::RowCountChange { max_decrease: Some(0.1), max_increase: None },
        Check::Schema,
    ];
    TransformRecord {
        id: TransformId::random(),
        name: name.to_owned(),
        description: "é 🙂 \u{202e}".to_owned(),
        owner_id: owner.clone(),
        language: Language::Python,
        code: "def transform(inputs, params):\n    return inputs['売上']\n".to_owned(),
        inputs: vec![whole, input(&DatasetId::random())],
        params: json!({ "limit": u64::MAX, "rate": 0.1, "nested": [{ "a": null }] }),
        schedule: Schedule {
            cron: Some("*/5 9-17 * * 1-5".to_owned()),
            time_zone: "Asia/Tokyo".to_owned(),
            enabled: true,
            on_input_change: false,
            missed: Missed::All,
            since: at(3),
        },
        settings: TransformSettings {
            frames: FrameKind::Polars,
            params_schema: Some(json!({ "type": "object" })),
            output_name: Some("集計".to_owned()),
            partition_column: Some("日付".to_owned()),
            sort_column: None,
            write: WriteMode::Merge { high_water: "at".to_owned(), keys: vec!["id".to_owned()] },
            checks,
            retries: Retries { max: 0, backoff_s: 1 },
            timeout_s: Some(300),
            memory_mb: None,
        },
        output_dataset_id: DatasetId::random(),
        created_at,
        updated_at: at(2),
        revision: 0,
    }
}

/// An execution that runs, as it begins.
pub(in crate::catalog::store) fn new_execution(
    transform: &TransformId,
    started_at: Timestamp,
) -> ExecutionRecord {
    ExecutionRecord {
        id: ExecutionId::random(),
        transform_id: transform.clone(),
        started_at,
        status: ExecutionStatus::Running,
        finished_at: None,
        triggered_by: Trigger::Manual,
        reason: Reason::Request,
        user_id: UserId::random(),
        scheduled_at: None,
        attempt: 1,
        params: json!({ "limit": u64::MAX, "日付": [0.1, null] }),
        inputs: vec![ReadVersion { dataset_id: DatasetId::random(), version: u64::MAX }],
        output_dataset_id: None,
        output_version: None,
        output_row_count: None,
        failure: None,
        checks: Vec::new(),
        usage: Usage::default(),
        log: String::new(),
        lease: Some(Lease { holder: "p1".to_owned(), until: started_at.plus_seconds(30) }),
        revision: 0,
    }
}

/// The same execution, ended with something in every field.
pub(super) fn failed(record: &ExecutionRecord) -> ExecutionRecord {
    let line = |check: &str, passed| CheckResult {
        check: check.to_owned(),
        passed,
        message: "期待 \"0\" 🙂".to_owned(),
    };
    ExecutionRecord {
        status: ExecutionStatus::Failed,
        finished_at: Some(Timestamp::from_micros(record.started_at.micros() + 1_234_567)),
        output_dataset_id: Some(DatasetId::random()),
        output_version: Some(u64::MAX),
        output_row_count: Some(u64::MAX / 2),
        failure: Some(ExecutionFailure {
            code: Code::OverLimit,
            message: "…".to_owned(),
            traceback: Some("Traceback (most recent call last):\n".to_owned()),
            line: Some(3),
        }),
        checks: vec![line("not_null(city)", true), line("unique(id)", false)],
        usage: Usage {
            cpu_ms: 1,
            memory_peak_bytes: 2,
            input_bytes: 3,
            output_bytes: u64::MAX,
            sandbox_tier: Some('A'),
        },
        log: "行 1\n\u{0}".to_owned(),
        lease: None,
        attempt: 3,
        ..record.clone()
    }
}

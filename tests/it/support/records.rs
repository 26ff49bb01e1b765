//! Records of transforms, for tests of what keeps them.

use serde_json::json;
use shirabe::catalog::transform::{
    ExecutionRecord, ExecutionStatus, Language, Reason, Schedule, TransformInput, TransformRecord,
    TransformSettings, Trigger, Usage,
};
use shirabe::clock::Timestamp;
use shirabe::ids::{DatasetId, ExecutionId, TransformId, UserId};

/// A moment, `seconds` after a fixed one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

/// A transform of one input.
pub(crate) fn transform(owner: &UserId, created_at: Timestamp) -> TransformRecord {
    let input = TransformInput { dataset_id: DatasetId::random(), alias: None, columns: None, filter: None };
    TransformRecord {
        id: TransformId::random(),
        name: "集計".to_owned(),
        description: String::new(),
        owner_id: owner.clone(),
        language: Language::Sql,
        code: "select 1 as n".to_owned(),
        inputs: vec![input],
        params: json!({ "days": 7 }),
        schedule: Schedule::none(created_at),
        settings: TransformSettings::default(),
        output_dataset_id: DatasetId::random(),
        created_at,
        updated_at: created_at,
        revision: 0,
    }
}

/// An execution that runs.
pub(crate) fn execution(transform: &TransformId, started_at: Timestamp) -> ExecutionRecord {
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
        params: json!({}),
        inputs: Vec::new(),
        output_dataset_id: None,
        output_version: None,
        output_row_count: None,
        failure: None,
        checks: Vec::new(),
        usage: Usage::default(),
        log: "行 1\n".to_owned(),
        lease: None,
        revision: 0,
    }
}

/// The same, ended well.
pub(crate) fn ended(record: &ExecutionRecord) -> ExecutionRecord {
    let finished_at = Some(record.started_at.plus_seconds(2));
    ExecutionRecord { status: ExecutionStatus::Success, finished_at, ..record.clone() }
}

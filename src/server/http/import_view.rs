//! Imports as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;

use super::datasets::{DatasetView, view};
use super::error::ErrorView;
use super::state::AppState;
use crate::auth::Principal;
use crate::dataset::Outcome;
use crate::dataset::import::Imported;
use crate::dataset::jobs::{Job, State};
use crate::dataset::progress::Snapshot;
use crate::dataset::reimport::Reimported;
use crate::dataset::schema_change::SchemaChange;
use crate::error::Error;
use crate::ids::ImportId;
use crate::transform::Broken;

/// A dataset that was imported.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportedView {
    #[serde(flatten)]
    dataset: DatasetView,
    /// What was changed to make the file a table, such as doubled column names.
    warnings: Vec<String>,
}

/// How a re-import ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReimportedView {
    /// `completed`, or `pending_confirmation`: nothing was written, send it again with `force`.
    #[schema(example = "completed")]
    import_status: &'static str,
    schema_changes: Vec<SchemaChange>,
    /// Transforms that would not work any more with these changes.
    would_break: Vec<Broken>,
    #[serde(flatten)]
    dataset: Option<ImportedView>,
}

/// What an import came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OutcomeView {
    Imported(Box<ImportedView>),
    Reimported(Box<ReimportedView>),
}

/// An import, running or ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportView {
    #[schema(value_type = String)]
    import_id: ImportId,
    title: String,
    /// `running`, `completed`, `failed` or `cancelled`.
    #[schema(example = "running")]
    state: &'static str,
    #[serde(flatten)]
    progress: Snapshot,
    started_at: String,
    result: Option<OutcomeView>,
    error: Option<ErrorView>,
}

pub(super) async fn imported_view(
    app: &AppState,
    principal: &Principal,
    imported: &Imported,
) -> Result<ImportedView, Error> {
    let dataset = view(app, principal, &imported.record).await?;
    Ok(ImportedView { dataset, warnings: imported.warnings.clone() })
}

pub(super) async fn reimported_view(
    app: &AppState,
    principal: &Principal,
    outcome: &Reimported,
) -> Result<ReimportedView, Error> {
    Ok(match outcome {
        Reimported::Completed(imported) => ReimportedView {
            import_status: "completed",
            schema_changes: Vec::new(),
            would_break: Vec::new(),
            dataset: Some(imported_view(app, principal, imported).await?),
        },
        Reimported::PendingConfirmation(id, changes) => ReimportedView {
            import_status: "pending_confirmation",
            schema_changes: changes.clone(),
            would_break: app.transforms.would_break_by(principal, id, changes).await?,
            dataset: None,
        },
    })
}

pub(super) async fn job_view(
    app: &AppState,
    principal: &Principal,
    job: &Job<Outcome>,
) -> Result<ImportView, Error> {
    let state = job.state();
    let (word, result, error) = match &*state {
        State::Running => ("running", None, None),
        State::Cancelled => ("cancelled", None, None),
        State::Failed(error) => ("failed", None, Some(ErrorView::from(error))),
        State::Completed(outcome) => ("completed", outcome_view(app, principal, outcome).await?, None),
    };
    Ok(ImportView {
        import_id: job.id.clone(),
        title: job.title.clone(),
        state: word,
        progress: job.progress.snapshot(),
        started_at: job.started_at.rfc3339(),
        result,
        error,
    })
}

/// `None` when the dataset was deleted since.
async fn outcome_view(
    app: &AppState,
    principal: &Principal,
    outcome: &Outcome,
) -> Result<Option<OutcomeView>, Error> {
    let view = match outcome {
        Outcome::Created(imported) => {
            imported_view(app, principal, imported).await.map(|view| OutcomeView::Imported(Box::new(view)))
        }
        Outcome::Reimported(outcome) => {
            reimported_view(app, principal, outcome).await.map(|view| OutcomeView::Reimported(Box::new(view)))
        }
    };
    match view {
        Ok(view) => Ok(Some(view)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

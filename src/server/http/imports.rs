//! Imports: uploads, files on the server, re-imports, and how far they are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::datasets::DatasetPath;
use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply, respond};
use super::extract::{ApiForm, ApiJson, ApiPath, ApiQuery, Asker, Caller, OptionalJson, PageParams};
use super::import_body::ImportBody;
use super::import_view::{
    ImportView, ImportedView, ReimportedView, imported_view, job_view, reimported_view,
};
use super::inspection::InspectionView;
use super::state::AppState;
use super::upload::{self, Form, Spooled};
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::record::DatasetRecord;
use crate::dataset::import::NewDataset;
use crate::dataset::jobs::{Job, State};
use crate::dataset::reimport::{DryRun, Newer};
use crate::dataset::source::{InputFile, S3Address};
use crate::dataset::{self, Outcome};
use crate::error::Error;
use crate::file_name;
use crate::ids::ImportId;
use crate::transform::Broken;

/// Longest wait for a change of an import, so that no proxy gives up first.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A file on the server, or in S3.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct PathImportBody {
    /// Absolute, or `s3://bucket/key`.
    #[schema(value_type = String)]
    path: PathBuf,
    /// The dataset's name; by default that of the file without its extension.
    name: Option<String>,
    #[serde(default)]
    options: ImportBody,
}

/// A new file for a dataset, or its recorded source again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReimportBody {
    /// Accept a changed schema; `options.force` says the same.
    #[serde(default)]
    force: bool,
    /// A file on the server instead of the recorded source, for the command line; or `s3://bucket/key`.
    #[schema(value_type = Option<String>)]
    path: Option<PathBuf>,
    /// What is said here goes before what the last import was told, and is kept for the next one.
    #[serde(default)]
    options: ImportBody,
}

/// A form with a file.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the form in the API document; it is read as a stream")]
pub(super) struct UploadForm {
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    #[schema(inline)]
    options: ImportBody,
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Answer when the import has ended, or after so many milliseconds; at most 30,000.
    #[serde(default)]
    wait: u64,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ImportPath {
    #[param(value_type = String)]
    import_id: ImportId,
}

/// Upload a file as a new dataset. `Prefer: respond-async` answers 202 at once.
#[utoipa::path(post, path = "/api/datasets", tag = "imports",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = Reply<ImportedView>), (status = 202, body = Reply<ImportView>),
        (status = 400, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 413, body = ErrorReply), (status = 422, body = ErrorReply)))]
pub(super) async fn create(
    app: AppState,
    Asker(caller): Asker,
    headers: HeaderMap,
    form: ApiForm,
) -> ApiResult<Response> {
    // Before the upload, which may take long.
    authorize(&caller.principal, Action::CreateDataset, &Object::Service)?;
    let Form { texts, file } = receive(&app, form).await?;
    let file = file.ok_or_else(|| Error::invalid_field("file", "the form has no `file`"))?;
    let new = new_dataset(file.input(), ImportBody::from_form(texts)?)?;
    start_create(&app, caller, new, Some(file), wants_async(&headers)).await
}

/// Import a file on the server as a new dataset; for the command line on the machine itself.
#[utoipa::path(post, path = "/api/datasets/path-import", tag = "imports", request_body = PathImportBody,
    responses((status = 201, body = Reply<ImportedView>), (status = 202, body = Reply<ImportView>),
        (status = 400, body = ErrorReply), (status = 403, body = ErrorReply)))]
pub(super) async fn create_from_path(
    app: AppState,
    Asker(caller): Asker,
    headers: HeaderMap,
    ApiJson(body): ApiJson<PathImportBody>,
) -> ApiResult<Response> {
    authorize(&caller.principal, Action::CreateDataset, &Object::Service)?;
    let mut options = body.options;
    options.name = body.name.or(options.name);
    let new = new_dataset(named(&caller, body.path)?, options)?;
    start_create(&app, caller, new, None, wants_async(&headers)).await
}

/// What a file is: format, encoding, delimiter, header, types, first rows. Nothing is written.
#[utoipa::path(post, path = "/api/datasets/inspect", tag = "imports",
    request_body(content((UploadForm = "multipart/form-data"), (PathImportBody = "application/json"))),
    responses((status = 200, body = Reply<InspectionView>), (status = 400, body = ErrorReply)))]
pub(super) async fn inspect(
    app: AppState,
    Asker(caller): Asker,
    request: Request,
) -> ApiResult<Reply<InspectionView>> {
    authorize(&caller.principal, Action::CreateDataset, &Object::Service)?;
    let (input, _file, body) = if is_form(request.headers()) {
        let form = ApiForm::from_request(request, &app).await?;
        let Form { texts, file } = receive(&app, form).await?;
        let file = file.ok_or_else(|| Error::invalid_field("file", "the form has no `file`"))?;
        (file.input(), Some(file), ImportBody::from_form(texts)?)
    } else {
        let ApiJson(body) = ApiJson::<PathImportBody>::from_request(request, &app).await?;
        (named(&caller, body.path)?, None, body.options)
    };
    let options = body.options()?;
    let found = app.datasets.inspect(&input, &options.read).await?;
    Ok(Reply::of(found.into()))
}

/// Import the recorded source again.
#[utoipa::path(post, path = "/api/datasets/{dataset_id}/import", tag = "imports", params(DatasetPath),
    request_body = ReimportBody,
    responses((status = 200, body = Reply<ReimportedView>), (status = 202, body = Reply<ImportView>),
        (status = 400, body = ErrorReply), (status = 404, body = ErrorReply)))]
pub(super) async fn import(
    app: AppState,
    asker: Asker,
    path: ApiPath<DatasetPath>,
    request: Request,
) -> ApiResult<Response> {
    reimport(app, asker, path, request).await
}

/// Import a newer file into a dataset: one that is sent as a form, or the recorded source again.
#[utoipa::path(post, path = "/api/datasets/{dataset_id}/reimport", tag = "imports", params(DatasetPath),
    request_body(content((UploadForm = "multipart/form-data"), (ReimportBody = "application/json"))),
    responses((status = 200, body = Reply<ReimportedView>), (status = 202, body = Reply<ImportView>),
        (status = 400, body = ErrorReply), (status = 404, body = ErrorReply)))]
pub(super) async fn reimport(
    app: AppState,
    Asker(caller): Asker,
    ApiPath(path): ApiPath<DatasetPath>,
    request: Request,
) -> ApiResult<Response> {
    let record = app.datasets.get(&caller.principal, &path.dataset_id).await?;
    let later = wants_async(request.headers());
    let (newer, file) = newer(&app, &caller, &record, request).await?;
    let (datasets, now) = (app.datasets.clone(), app.clock.now());
    let principal = caller.principal.clone();
    let job = app.imports.start(&principal, record.name, now, move |progress| async move {
        // Removed when the import is over.
        let _file = file;
        datasets.reimport(&caller, &path.dataset_id, newer, progress).await.map(Outcome::Reimported)
    })?;
    answer(&app, &principal, &job, later).await
}

/// What a re-import would do. Nothing is written.
#[utoipa::path(post, path = "/api/datasets/{dataset_id}/reimport/dry-run", tag = "imports",
    params(DatasetPath),
    request_body(content((UploadForm = "multipart/form-data"), (ReimportBody = "application/json"))),
    responses((status = 200, body = Reply<DryRunView>), (status = 400, body = ErrorReply)))]
pub(super) async fn dry_run(
    app: AppState,
    Asker(caller): Asker,
    ApiPath(path): ApiPath<DatasetPath>,
    request: Request,
) -> ApiResult<Reply<DryRunView>> {
    let record = app.datasets.get(&caller.principal, &path.dataset_id).await?;
    let (newer, _file) = newer(&app, &caller, &record, request).await?;
    let run = app.datasets.reimport_dry_run(&caller, &path.dataset_id, newer, Arc::default()).await?;
    let would_break = match run.changes.as_slice() {
        [] => Vec::new(),
        changes => app.transforms.would_break_by(&caller.principal, &path.dataset_id, changes).await?,
    };
    Ok(Reply::of(DryRunView { run, would_break }))
}

/// What a re-import would do, and to whom.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryRunView {
    #[serde(flatten)]
    run: DryRun,
    /// Transforms that would not work any more.
    would_break: Vec<Broken>,
}

/// The caller's imports, newest first.
#[utoipa::path(get, path = "/api/imports", tag = "imports", params(PageParams),
    responses((status = 200, body = ListReply<ImportView>), (status = 401, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(page): ApiQuery<PageParams>,
) -> ApiResult<ListReply<ImportView>> {
    let page = page.check()?;
    let jobs = app.imports.list(&principal);
    let mut views = Vec::new();
    for job in page.of(&jobs) {
        views.push(job_view(&app, &principal, job).await?);
    }
    Ok(ListReply::of(views, page, jobs.len() as u64))
}

/// How far an import is.
#[utoipa::path(get, path = "/api/imports/{import_id}", tag = "imports", params(ImportPath, WaitQuery),
    responses((status = 200, body = Reply<ImportView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ImportPath>,
    ApiQuery(query): ApiQuery<WaitQuery>,
) -> ApiResult<Reply<ImportView>> {
    let job = app.imports.get(&principal, &path.import_id)?;
    job.wait(Duration::from_millis(query.wait).min(WAIT_MAX)).await;
    Ok(Reply::of(job_view(&app, &principal, &job).await?))
}

/// Stop an import. What it has published stays; else nothing of it can be seen.
#[utoipa::path(delete, path = "/api/imports/{import_id}", tag = "imports", params(ImportPath),
    responses((status = 200, body = Reply<ImportView>), (status = 404, body = ErrorReply)))]
pub(super) async fn cancel(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ImportPath>,
) -> ApiResult<Reply<ImportView>> {
    let job = app.imports.cancel(&principal, &path.import_id)?;
    Ok(Reply::of(job_view(&app, &principal, &job).await?))
}

async fn receive(app: &AppState, ApiForm(form): ApiForm) -> Result<Form, Error> {
    upload::read(form, &app.settings.spool_folder, app.settings.upload_bytes_max).await
}

pub(super) fn new_dataset(file: InputFile, body: ImportBody) -> Result<NewDataset, Error> {
    let name = body.name.clone().unwrap_or_else(|| file_name::dataset_name(&file.name).to_owned());
    let description = body.description.clone().unwrap_or_default();
    Ok(NewDataset { name, description, file, options: body.options()? })
}

/// What a caller names: something in S3, or, if they run the machine, a file on it.
fn named(caller: &dataset::Caller, path: PathBuf) -> Result<InputFile, Error> {
    if let Some(address) = path.to_str().and_then(S3Address::parse) {
        return Ok(InputFile::in_s3(address?));
    }
    authorize(&caller.principal, Action::Operate, &Object::Service)?;
    if !path.is_absolute() {
        let message = format!("`{}` is not an absolute path", path.display());
        return Err(Error::invalid_field("path", message));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(InputFile::on_disk(path, name, true))
}

pub(super) async fn start_create(
    app: &AppState,
    caller: dataset::Caller,
    new: NewDataset,
    file: Option<Spooled>,
    later: bool,
) -> ApiResult<Response> {
    let datasets = app.datasets.clone();
    let principal = caller.principal.clone();
    let job =
        app.imports.start(&principal, new.name.clone(), app.clock.now(), move |progress| async move {
            // Removed when the import is over.
            let _file = file;
            datasets.create(&caller, new, progress).await.map(|made| Outcome::Created(Box::new(made)))
        })?;
    answer(app, &principal, &job, later).await
}

/// What is asked of a re-import, and the file that came along, if one did.
async fn newer(
    app: &AppState,
    caller: &dataset::Caller,
    record: &DatasetRecord,
    request: Request,
) -> ApiResult<(Newer, Option<Spooled>)> {
    let (file, spooled, body) = if is_form(request.headers()) {
        let form = ApiForm::from_request(request, app).await?;
        let Form { texts, file } = receive(app, form).await?;
        (file.as_ref().map(Spooled::input), file, ImportBody::from_form(texts)?)
    } else {
        let OptionalJson(body) = OptionalJson::<ReimportBody>::from_request(request, app).await?;
        let mut options = body.options;
        options.force |= body.force;
        (body.path.map(|path| named(caller, path)).transpose()?, None, options)
    };
    body.check_names(record)?;
    let force = body.force;
    Ok((Newer { file, options: body.options()?, force }, spooled))
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("multipart/form-data"))
}

/// `Prefer: respond-async`, RFC 7240.
pub(super) fn wants_async(headers: &HeaderMap) -> bool {
    let prefer = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    prefer.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("respond-async"))
}

/// Answers at once with where to look, or when the import has ended.
async fn answer(
    app: &AppState,
    principal: &Principal,
    job: &Job<Outcome>,
    later: bool,
) -> ApiResult<Response> {
    if later {
        let view = job_view(app, principal, job).await?;
        let mut response = Reply::of(view).accepted(&format!("/api/imports/{}", job.id));
        response.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
        return Ok(response);
    }
    match &*job.ended().await {
        State::Completed(Outcome::Created(imported)) => {
            let location = format!("/api/datasets/{}", imported.record.id);
            Ok(Reply::of(imported_view(app, principal, imported).await?).created(&location))
        }
        State::Completed(Outcome::Reimported(outcome)) => {
            Ok(Reply::of(reimported_view(app, principal, outcome).await?).into_response())
        }
        State::Failed(error) => Ok(respond(error)),
        State::Cancelled | State::Running => Ok(respond(&Error::Cancelled)),
    }
}

//! Imports from S3: one object, or all below a prefix, as a new dataset.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::envelope::Reply;
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, Asker};
use super::import_body::ImportBody;
use super::import_view::{ImportView, ImportedView};
use super::imports::{new_dataset, start_create, wants_async};
use super::state::AppState;
use crate::auth::{Action, Object, authorize};
use crate::dataset::source::{InputFile, S3Address};
use crate::error::Error;

/// What is in S3, and how to read it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body in the API document; unknown fields are refused by hand")]
pub(super) struct S3ImportBody {
    #[schema(example = "sales-exports")]
    s3_bucket: String,
    /// The key of an object; one that ends in `/` stands for all CSV or NDJSON objects below it, which have the same
    /// columns.
    #[schema(example = "2024/january.csv")]
    s3_key: String,
    #[schema(inline)]
    options: ImportBody,
}

/// Import from S3 as a new dataset. The fields of `options` stand beside `s3_bucket` and `s3_key`.
#[utoipa::path(post, path = "/api/datasets/s3-import", tag = "imports", request_body = S3ImportBody,
    responses((status = 201, body = Reply<ImportedView>), (status = 202, body = Reply<ImportView>),
        (status = 400, body = ErrorReply), (status = 403, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 413, body = ErrorReply), (status = 422, body = ErrorReply), (status = 503, body = ErrorReply)))]
pub(super) async fn create(
    app: AppState,
    Asker(caller): Asker,
    headers: HeaderMap,
    ApiJson(mut fields): ApiJson<Map<String, Value>>,
) -> ApiResult<Response> {
    authorize(&caller.principal, Action::CreateDataset, &Object::Service)?;
    let (bucket, key) = (text(&mut fields, "s3_bucket")?, text(&mut fields, "s3_key")?);
    // `options` may also hold the rest, as everywhere else.
    if let Some(Value::Object(options)) = fields.remove("options") {
        options.into_iter().for_each(|(name, value)| {
            fields.entry(name).or_insert(value);
        });
    }
    let file = InputFile::in_s3(S3Address::new(&bucket, &key)?);
    let new = new_dataset(file, ImportBody::from_fields(fields)?)?;
    start_create(&app, caller, new, None, wants_async(&headers)).await
}

fn text(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, Error> {
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Error::invalid_field(name, format!("`{name}` is {other}: expected text"))),
        None => Err(Error::invalid_field(name, format!("`{name}` is missing"))),
    }
}

//! Versions that code makes: rows come from a statement or from Python, and go the way of an import from there on.
//!
//! Why in two steps: between storing the rows and putting them in force somebody looks at them. What is staged can be
//! read like any version, by whoever holds it, and is named by nothing.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use futures::StreamExt as _;
use serde_json::json;

use super::publish::{Candidate, Draft, Place, columns};
use super::schema_change::between;
use super::service::{Caller, Datasets};
use super::unnamed::Unnamed;
use super::write::{self, Batches, Layout, Sizes, Target};
use crate::auth::Action;
use crate::catalog::Manifest;
use crate::catalog::manifest::type_name;
use crate::catalog::record::{AuditRecord, DatasetRecord, MadeBy, Source, VersionKind};
use crate::catalog::transform::ExecutionRecord;
use crate::error::{Error, Result};
use crate::ids::{CommitId, DatasetId};
use crate::limits::COLUMNS_MAX;
use crate::storage::keys;

/// Files above which a version that is added to is written anew, if they are small: each costs a read a query.
const FILES_ADDED_MAX: usize = 128;

/// The contract's word for where the rows of a transform came from.
const KIND: &str = "transform";

/// Times that a change of the record beside its version, such as another name, is read again.
const ATTEMPTS_MAX: usize = 3;

/// A dataset that code makes.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: DatasetId,
    /// Of a dataset that is not there yet; afterwards it keeps the name it has.
    pub name: String,
    pub description: String,
    pub layout: Layout,
    pub made_by: MadeBy,
    /// What the source is called.
    pub title: String,
}

/// A version that is stored and not in force.
#[derive(Debug)]
pub struct Staged {
    place: Place,
    manifest: Arc<Manifest>,
    before: Option<Arc<Manifest>>,
    files: Unnamed,
}

impl Staged {
    /// What it holds.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The version that was in force when it was begun.
    #[must_use]
    pub fn before(&self) -> Option<&Arc<Manifest>> {
        self.before.as_ref()
    }
}

impl Datasets {
    /// The version in force of a dataset that code makes; none before its first one.
    ///
    /// # Errors
    /// `Forbidden` or `NotFound` when the dataset is not the caller's, `Unavailable`, `Damaged`.
    pub async fn made_so_far(
        &self,
        caller: &Caller,
        id: &DatasetId,
    ) -> Result<Option<(DatasetRecord, Arc<Manifest>)>> {
        let record = match self.allowed(&caller.principal, Action::WriteDataset, id).await {
            Ok(record) => record,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest = self.parts.engine.manifest(&record.current).await?;
        Ok(Some((record, manifest)))
    }

    /// Stores rows as a version that is not in force. With `add`, the files of the version in force are part of it.
    ///
    /// # Errors
    /// `BadData` for a column that no dataset can have, or when rows are added that have other columns; what the rows
    /// fail with; `StorageFull`, `Unavailable`. Nothing of it stays.
    pub async fn stage(
        &self,
        caller: &Caller,
        made: &Made,
        (schema, rows): (SchemaRef, Batches),
        add: bool,
    ) -> Result<Staged> {
        let (place, before) = match self.made_so_far(caller, &made.id).await? {
            Some((record, manifest)) => (Place::Next(Box::new(record)), Some(manifest)),
            None => {
                let (id, name) = (made.id.clone(), made.name.clone());
                let owner_id = caller.principal.user_id.clone();
                (Place::New(Draft { id, name, description: made.description.clone(), owner_id }), None)
            }
        };
        let schema_is = storable(&schema)?;
        let kept = before.as_ref().filter(|_| add);
        if let Some(before) = kept {
            same_columns(before, &schema_is)?;
        }
        let rows = rows.map({
            let schema = Arc::clone(&schema_is);
            move |batch| as_stored(&batch?, &schema)
        });
        let label = keys::new_label(place.next_number());
        let target = Target { store: Arc::clone(&self.parts.objects), id: made.id.clone(), label };
        let unnamed = self.parts.in_flight.begin(target.clone());
        let rows = self.in_order(&schema_is, &made.layout, rows.boxed())?;
        let sizes = Sizes::new(self.parts.settings.threads);
        let files = match write::write(&target, &schema_is, &made.layout, sizes, rows).await {
            Ok(files) => files,
            Err(error) => {
                unnamed.discard().await;
                return Err(error);
            }
        };
        let files = match kept {
            Some(before) => [before.files.clone(), files].concat(),
            None => files,
        };
        let source = Source {
            kind: KIND.to_owned(),
            file_name: made.title.clone(),
            path: None,
            made_by: Some(made.made_by.clone()),
        };
        let candidate = Candidate {
            label: target.label.clone(),
            kind: VersionKind::Transform,
            restored_from: None,
            source,
            read_contract: json!({}),
            columns: columns(&schema_is, &files),
            partition_column: made.layout.partition_column.clone(),
            sort_column: made.layout.sort_column.clone(),
            files,
            quarantine: None,
            unnamed: None,
        };
        let manifest = Arc::new(self.manifest_of(caller, &place, candidate, CommitId::random()));
        Ok(Staged { place, manifest, before, files: unnamed })
    }

    /// Makes a staged version the one in force, and ends the execution that made it, in one commit.
    ///
    /// # Errors
    /// `Conflict` when another version was published meanwhile or somebody else took the execution over; `Duplicate`
    /// when the name is taken; `StorageFull`, `Unavailable`. The version in force stays in force.
    pub async fn put_staged_in_force(
        &self,
        caller: &Caller,
        mut staged: Staged,
        audit: AuditRecord,
        execution: Option<ExecutionRecord>,
    ) -> Result<DatasetRecord> {
        staged.files.keep();
        let manifest_blake3 = self.store_manifest(&staged.place, &staged.manifest).await?;
        let mut attempts = 1;
        loop {
            let record = staged.place.record(&staged.manifest, &manifest_blake3);
            match self.put_in_force(&staged.place, record, audit.clone(), execution.clone()).await {
                Err(error @ Error::Conflict { .. }) if attempts < ATTEMPTS_MAX => {
                    attempts += 1;
                    let Some(place) = self.same_version(caller, &staged.place).await? else {
                        return Err(error);
                    };
                    staged.place = place;
                }
                outcome => return outcome,
            }
        }
    }

    /// Removes what was staged and is of no use.
    pub async fn discard(&self, staged: Staged) {
        staged.files.discard().await;
    }

    /// The place as it is now, if only something beside its version has changed.
    async fn same_version(&self, caller: &Caller, place: &Place) -> Result<Option<Place>> {
        let Place::Next(read) = place else { return Ok(None) };
        let now = self.allowed(&caller.principal, Action::WriteDataset, &read.id).await?;
        let changed_beside = now.current.number == read.current.number && now.revision != read.revision;
        Ok(changed_beside.then(|| Place::Next(Box::new(now))))
    }
}

/// Whether a version should be written anew rather than added to once more.
#[must_use]
pub fn has_many_small_files(manifest: &Manifest) -> bool {
    let files = manifest.files.len();
    files > FILES_ADDED_MAX && manifest.byte_count() / (files as u64) < (16 << 20)
}

/// The columns as a dataset keeps them.
fn storable(schema: &Schema) -> Result<SchemaRef> {
    let fields = schema.fields();
    if fields.is_empty() {
        return Err(Error::BadData("the result has no columns".to_owned()));
    }
    if fields.len() > COLUMNS_MAX {
        let message = format!("the result has {} columns; a dataset has at most {COLUMNS_MAX}", fields.len());
        return Err(Error::OverLimit(message));
    }
    let mut seen = std::collections::HashSet::new();
    let mut stored = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.name();
        if name.is_empty() {
            return Err(Error::BadData("a column of the result has no name".to_owned()));
        }
        if !seen.insert(name.as_str()) {
            let message =
                format!("the result has more than one column `{name}`: give them names that differ");
            return Err(Error::BadData(message));
        }
        stored.push(Field::new(name, storable_type(name, field.data_type())?, true));
    }
    Ok(Arc::new(Schema::new(stored)))
}

fn storable_type(column: &str, data_type: &DataType) -> Result<DataType> {
    Ok(match data_type {
        DataType::Dictionary(_, value) => storable_type(column, value)?,
        DataType::RunEndEncoded(_, values) => storable_type(column, values.data_type())?,
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        // What datasets count in; digits beyond are cut off.
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Interval(_) | DataType::Duration(_) => {
            let message = format!(
                "column `{column}` holds intervals, which a dataset cannot hold: make a number or text of them"
            );
            return Err(Error::BadData(message));
        }
        other => other.clone(),
    })
}

fn as_stored(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>().map_err(Error::internal)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(Error::internal)
}

fn same_columns(before: &Manifest, schema: &SchemaRef) -> Result<()> {
    let new: Vec<_> = columns(schema, &[]);
    let was = before.schema();
    if was.fields() == schema.fields() {
        return Ok(());
    }
    let changes = between(&before.columns, &new);
    let listed = |fields: &arrow::datatypes::Fields| {
        let each = fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type())));
        each.collect::<Vec<_>>().join(", ")
    };
    let message = format!(
        "rows can be added only when they have the columns of the version in force, in their order: it has ({}), the result has ({}); run a full rebuild",
        listed(was.fields()),
        listed(schema.fields())
    );
    Err(Error::Conflict { message, details: json!({ "schema_changes": changes }) })
}

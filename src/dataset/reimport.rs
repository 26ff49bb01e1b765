//! Re-imports: the same dataset from a newer file, with a look at what would change before it changes.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::Serialize;

use super::decode::{Basis, Contract, Inspection};
use super::import::{ImportOptions, Imported, InputFile, Landed, ReadContract};
use super::progress::{Progress, Stage};
use super::publish::Place;
use super::rows::{self, Pass};
use super::schema_change::{SchemaChange, between, reads_as};
use super::service::{Caller, Datasets};
use super::source::Opened;
use crate::auth::Action;
use crate::catalog::Manifest;
use crate::catalog::manifest::{Column, type_name};
use crate::catalog::record::DatasetRecord;
use crate::error::Error;
use crate::ids::DatasetId;

/// How a re-import ended.
#[derive(Debug, Clone)]
pub enum Reimported {
    Completed(Box<Imported>),
    /// The file has another schema than this dataset. Nothing was written; the caller confirms with `force`.
    PendingConfirmation(DatasetId, Vec<SchemaChange>),
}

/// What a re-import is asked for.
#[derive(Debug, Clone, Default)]
pub struct Newer {
    /// The newer file; without one the recorded source is read again.
    pub file: Option<InputFile>,
    /// What is said now goes before what the last import kept, and is kept from then on.
    pub options: ImportOptions,
    /// Go on when the schema has changed.
    pub force: bool,
}

/// What a re-import would do.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DryRun {
    pub has_schema_changes: bool,
    pub changes: Vec<SchemaChange>,
    pub new_row_count: u64,
    pub new_column_count: u64,
    /// Rows that would be set aside.
    pub bad_row_count: u64,
}

/// What a re-import needs to know of the dataset as it is.
struct Before {
    record: DatasetRecord,
    manifest: Arc<Manifest>,
    /// The last import's contract, now of what is expected.
    kept: Contract,
    file: Opened,
    options: ImportOptions,
}

/// How the new file compares with the dataset.
enum Fit {
    /// It reads with the types that are kept.
    Same(Inspection),
    /// It has another schema, which this contract describes.
    Changed(Inspection, Vec<SchemaChange>),
}

impl Fit {
    fn of(inspection: Inspection, changes: Vec<SchemaChange>) -> Self {
        match changes.is_empty() {
            true => Self::Same(inspection),
            false => Self::Changed(inspection, changes),
        }
    }
}

impl Datasets {
    /// Imports a newer file into a dataset.
    ///
    /// # Errors
    /// `Invalid` when the source is gone or was an upload, which is not kept; else as for an import.
    pub async fn reimport(
        &self,
        caller: &Caller,
        id: &DatasetId,
        newer: Newer,
        progress: Arc<Progress>,
    ) -> Result<Reimported, Error> {
        let force = newer.force;
        let before = self.before(caller, id, newer).await?;
        progress.enter(Stage::Inspecting);
        let inspection = match self.fit(&before).await? {
            Fit::Same(inspection) => inspection,
            Fit::Changed(inspection, _) if force => inspection,
            Fit::Changed(_, changes) => return Ok(Reimported::PendingConfirmation(id.clone(), changes)),
        };
        let landed = match self.land_next(&before, inspection, &progress).await {
            Ok(landed) => landed,
            Err(error) => {
                // Values that do not fit the kept types may be a change of type rather than wrong rows.
                let (inspection, changes) = self.type_changes(&before, error).await?;
                if !force {
                    return Ok(Reimported::PendingConfirmation(id.clone(), changes));
                }
                self.land_next(&before, inspection, &progress).await?
            }
        };
        progress.enter(Stage::Publishing);
        let warnings = landed.warnings.clone();
        let candidate = self.candidate(id, &before.file.file, &before.options, landed).await?;
        let record = self.publish(caller, Place::Next(Box::new(before.record)), candidate).await?;
        Ok(Reimported::Completed(Box::new(Imported { record, warnings })))
    }

    /// What [`Datasets::reimport`] would do; writes nothing.
    ///
    /// # Errors
    /// As for a re-import, but for those of writing.
    pub async fn reimport_dry_run(
        &self,
        caller: &Caller,
        id: &DatasetId,
        newer: Newer,
        progress: Arc<Progress>,
    ) -> Result<DryRun, Error> {
        let before = self.before(caller, id, newer).await?;
        progress.enter(Stage::Inspecting);
        let (inspection, changes) = match self.fit(&before).await? {
            Fit::Same(inspection) => (inspection, Vec::new()),
            Fit::Changed(inspection, changes) => (inspection, changes),
        };
        match self.count(&before, inspection, &progress).await {
            Ok((schema, rows, bad_rows)) => Ok(dry_run(changes, &schema, rows, bad_rows)),
            Err(error) => {
                let (inspection, changes) = self.type_changes(&before, error).await?;
                let (schema, rows, bad_rows) = self.count(&before, inspection, &progress).await?;
                Ok(dry_run(changes, &schema, rows, bad_rows))
            }
        }
    }

    async fn before(&self, caller: &Caller, id: &DatasetId, newer: Newer) -> Result<Before, Error> {
        let record = self.allowed(&caller.principal, Action::WriteDataset, id).await?;
        if let Some(made_by) = &record.source.made_by {
            let message = format!(
                "`{}` is made by the transform `{}`: run that instead",
                record.name, made_by.transform_id
            );
            return Err(Error::invalid(message));
        }
        let manifest = self.parts.engine.manifest(&record.current).await?;
        let kept: ReadContract =
            serde_json::from_value(record.read_contract.clone()).map_err(Error::internal)?;
        let file = match newer.file {
            Some(file) => file,
            None => recorded_source(&record)?,
        };
        let options = newer.options.over(ImportOptions {
            read: kept.options,
            partition_column: record.partition_column.clone(),
            sort_column: record.sort_column.clone(),
            bad_rows_max: Some(kept.bad_rows_max),
        });
        options.check()?;
        let file = self.parts.sources.open(&file).await?;
        Ok(Before { record, manifest, kept: kept.found.kept(), file, options })
    }

    /// Compares columns. With the names of the last import, text is read with its types, but for those
    /// that are named: whether a value fits its kept type is seen when it is read.
    async fn fit(&self, before: &Before) -> Result<Fit, Error> {
        let inspection = self.inspect_opened(&before.file, &before.options.read).await?;
        let old = &before.manifest.columns;
        if inspection.contract.format.is_typed() {
            let changes = between(old, &columns_of(&inspection.schema));
            return Ok(Fit::of(inspection, changes));
        }
        let (contract, kept) = (&inspection.contract, &before.kept);
        // After a typed file there are none that were kept.
        let same_names = contract.columns.len() == old.len()
            && contract.columns.iter().all(|column| kept.columns.iter().any(|was| was.name == column.name));
        if same_names {
            let contract = with_kept_types(inspection.contract, kept);
            let changes = between(old, &columns_of(&contract.schema()));
            return Ok(Fit::of(Inspection { contract, ..inspection }, changes));
        }
        let expected = expecting(inspection.contract.clone(), old);
        let contract = self.infer_all(&before.file, expected).await?;
        let changes = between(old, &settled(&contract, old));
        let contract = with_types(contract, &before.manifest);
        Ok(Fit::of(Inspection { contract, ..inspection }, changes))
    }

    /// After a pass with kept types failed: the types the whole file has, and what changed. The error
    /// comes back when no type did, for then the rows are wrong.
    async fn type_changes(
        &self,
        before: &Before,
        error: Error,
    ) -> Result<(Inspection, Vec<SchemaChange>), Error> {
        if !matches!(error, Error::Invalid { .. }) {
            return Err(error);
        }
        let inspection = self.inspect_opened(&before.file, &before.options.read).await?;
        if inspection.contract.format.is_typed() {
            return Err(error);
        }
        let old = &before.manifest.columns;
        let whole = self.infer_all(&before.file, expecting(inspection.contract.clone(), old)).await;
        let Ok(contract) = whole else { return Err(error) };
        let changes = between(old, &settled(&contract, old));
        match changes.is_empty() {
            true => Err(error),
            false => {
                let contract = with_types(contract, &before.manifest);
                Ok((Inspection { contract, ..inspection }, changes))
            }
        }
    }

    async fn land_next(
        &self,
        before: &Before,
        inspection: Inspection,
        progress: &Arc<Progress>,
    ) -> Result<Landed, Error> {
        let number = before.record.current.number + 1;
        self.land(&before.record.id, number, &before.file, &before.options, inspection, progress).await
    }

    async fn count(
        &self,
        before: &Before,
        inspection: Inspection,
        progress: &Arc<Progress>,
    ) -> Result<(SchemaRef, u64, u64), Error> {
        progress.enter(Stage::Inferring);
        let Inspection { contract, schema, .. } = inspection;
        let reading = self.reading(&before.file, contract, &schema, before.options.bad_rows_max());
        let pass: Pass = rows::start(&reading, progress).await?;
        let schema = Arc::clone(&pass.schema);
        let (rows, tally) = rows::count(pass).await?;
        Ok((schema, rows, tally.take_bad_rows().len() as u64))
    }
}

fn dry_run(changes: Vec<SchemaChange>, schema: &SchemaRef, rows: u64, bad_row_count: u64) -> DryRun {
    DryRun {
        has_schema_changes: !changes.is_empty(),
        changes,
        new_row_count: rows,
        new_column_count: schema.fields().len() as u64,
        bad_row_count,
    }
}

fn recorded_source(record: &DatasetRecord) -> Result<InputFile, Error> {
    let Some(path) = &record.source.path else {
        let message = format!(
            "`{}` was uploaded, and uploads are not kept: send the new file with the request",
            record.source.file_name
        );
        return Err(Error::invalid_field("file", message));
    };
    InputFile::from_kept(path, &record.source.file_name)
}

fn columns_of(schema: &SchemaRef) -> Vec<Column> {
    let each = schema.fields().iter().map(|field| Column {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        null_count: 0,
    });
    each.collect()
}

/// The types that columns have if no value says otherwise: a column without any has not changed.
fn expecting(mut contract: Contract, old: &[Column]) -> Contract {
    for column in contract.columns.iter_mut().filter(|column| column.basis == Basis::Found) {
        let was = old.iter().find(|was| was.name == column.name);
        if let Some(column_type) = was.and_then(|was| type_name(&was.data_type).parse().ok()) {
            column.column_type = column_type;
        }
    }
    contract
}

/// The columns a file would have: of a type that was kept where the values found still fit it.
fn settled(contract: &Contract, old: &[Column]) -> Vec<Column> {
    let mut columns = columns_of(&contract.schema());
    let found = columns.iter_mut().zip(&contract.columns).filter(|(_, is)| is.basis != Basis::Given);
    for (column, _) in found {
        let kept = old.iter().find(|was| was.name == column.name);
        if let Some(kept) = kept.filter(|kept| reads_as(&column.data_type, &kept.data_type)) {
            column.data_type = kept.data_type.clone();
        }
    }
    columns
}

/// The types of the last import, for a file with the same columns; those that are named stay as named.
fn with_kept_types(mut contract: Contract, kept: &Contract) -> Contract {
    contract.columns_fixed = kept.columns_fixed;
    for column in contract.columns.iter_mut().filter(|column| column.basis != Basis::Given) {
        if let Some(was) = kept.columns.iter().find(|was| was.name == column.name) {
            column.clone_from(was);
        }
    }
    contract
}

/// The types of a file that has other columns: kept where they fit, else those that were found.
fn with_types(mut contract: Contract, manifest: &Manifest) -> Contract {
    for column in contract.columns.iter_mut().filter(|column| column.basis != Basis::Given) {
        let kept = manifest.columns.iter().find(|was| was.name == column.name);
        let kept = kept.filter(|was| reads_as(&column.column_type.arrow(), &was.data_type));
        // The contract's names for types read back as the types; those of typed files have no such name.
        if let Some(column_type) = kept.and_then(|was| type_name(&was.data_type).parse().ok()) {
            column.column_type = column_type;
            column.basis = Basis::Kept;
        }
    }
    contract
}

//! Imports: from a file to a published version.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::decode::{self, BadRow, Contract, Inspection, Misfit, ReadOptions};
use super::failure;
use super::progress::{Progress, Stage};
use super::publish::{Candidate, Draft, Place, columns};
use super::quarantine;
use super::rows::{self, Pass, Reading};
use super::service::{Caller, Datasets, check_description};
pub use super::source::InputFile;
use super::source::Opened;
use super::unnamed::Unnamed;
use super::write::{self, Layout, Sizes, Target};
use crate::auth::{Action, Object, authorize};
use crate::catalog::manifest::DataFile;
use crate::catalog::name::{NameKey, check_name};
use crate::catalog::record::{DatasetRecord, Source, VersionKind};
use crate::error::Error;
use crate::ids::DatasetId;
use crate::limits;
use crate::storage::keys;
use crate::tasks;
use crate::write_steps::write_step;

/// Times that an import starts over because the first rows misled it: once for the encoding, once for
/// the types, and once more when new columns follow from that.
const ATTEMPTS_MAX: usize = 4;

/// How a file is to be read and laid out. What is `None` was not said.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    pub read: ReadOptions,
    /// A date column that the files are split by; an empty name means none.
    pub partition_column: Option<String>,
    /// The column that rows are sorted by; an empty name means none.
    pub sort_column: Option<String>,
    /// Wrong rows up to this number are set aside; with more the import fails. 0 when absent.
    pub bad_rows_max: Option<u64>,
}

impl ImportOptions {
    /// What is said now, and for the rest what the last import of the dataset `kept`.
    pub(super) fn over(self, kept: Self) -> Self {
        Self {
            read: self.read.over(kept.read),
            partition_column: self.partition_column.or(kept.partition_column),
            sort_column: self.sort_column.or(kept.sort_column),
            bad_rows_max: self.bad_rows_max.or(kept.bad_rows_max),
        }
    }

    pub(super) fn bad_rows_max(&self) -> u64 {
        self.bad_rows_max.unwrap_or(0)
    }

    /// # Errors
    /// `Invalid` when more wrong rows are accepted than can be set aside.
    pub(super) fn check(&self) -> Result<(), Error> {
        let accepted = self.bad_rows_max();
        if accepted > limits::BAD_ROWS_MAX {
            let message = format!(
                "`max_bad_rows` is {accepted}; at most {} rows can be set aside",
                limits::BAD_ROWS_MAX
            );
            return Err(Error::invalid_field("max_bad_rows", message));
        }
        Ok(())
    }

    pub(super) fn layout(&self) -> Layout {
        let named = |column: &Option<String>| column.clone().filter(|column| !column.is_empty());
        Layout { sort_column: named(&self.sort_column), partition_column: named(&self.partition_column) }
    }
}

/// A dataset that is to be.
#[derive(Debug, Clone)]
pub struct NewDataset {
    pub name: String,
    pub description: String,
    pub file: InputFile,
    pub options: ImportOptions,
}

/// A published version, and what its maker should know.
#[derive(Debug, Clone)]
pub struct Imported {
    pub record: DatasetRecord,
    /// Things that were changed to make the file a table, such as doubled column names.
    pub warnings: Vec<String>,
}

/// How a dataset's source is read; kept with it for the next import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadContract {
    /// What the user asked for.
    pub options: ReadOptions,
    /// What was found.
    pub found: Contract,
    pub bad_rows_max: u64,
}

/// Rows that are stored and that no manifest names yet.
pub(super) struct Landed {
    pub(super) label: String,
    pub(super) contract: Contract,
    pub(super) schema: SchemaRef,
    pub(super) files: Vec<DataFile>,
    pub(super) bad_rows: Vec<BadRow>,
    pub(super) warnings: Vec<String>,
    pub(super) unnamed: Unnamed,
}

impl Datasets {
    /// What a file is, without importing it.
    ///
    /// # Errors
    /// `Invalid` for what cannot be read, naming the place.
    pub async fn inspect(&self, file: &InputFile, options: &ReadOptions) -> Result<Inspection, Error> {
        self.inspect_opened(&self.parts.sources.open(file).await?, options).await
    }

    pub(super) async fn inspect_opened(
        &self,
        file: &Opened,
        options: &ReadOptions,
    ) -> Result<Inspection, Error> {
        let (source, options) = (file.source.clone(), options.clone());
        let limits = self.parts.settings.decode.clone();
        tasks::blocking(move || {
            decode::inspect(&source, &options, &limits).map_err(|error| failure::of_file(&error))
        })
        .await
    }

    /// Imports a file as a new dataset.
    ///
    /// # Errors
    /// `Invalid` for a bad name, file or option; `Duplicate` for a name in use; `OverLimit`, `TooLarge`;
    /// `StorageFull`, `Unavailable`. Nothing of a failed import can be seen.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewDataset,
        progress: Arc<Progress>,
    ) -> Result<Imported, Error> {
        authorize(&caller.principal, Action::CreateDataset, &Object::Service)?;
        let name = check_name(&new.name)?;
        let description = check_description(new.description)?;
        new.options.check()?;
        self.name_is_free(&name).await?;

        progress.enter(Stage::Inspecting);
        let file = self.parts.sources.open(&new.file).await?;
        let inspection = self.inspect_opened(&file, &new.options.read).await?;
        let id = DatasetId::random();
        let landed = self.land(&id, 1, &file, &new.options, inspection, &progress).await?;
        progress.enter(Stage::Publishing);
        let warnings = landed.warnings.clone();
        let candidate = self.candidate(&id, &file.file, &new.options, landed).await?;
        let owner_id = caller.principal.user_id.clone();
        let place = Place::New(Draft { id, name, description, owner_id });
        let record = self.publish(caller, place, candidate).await?;
        Ok(Imported { record, warnings })
    }

    /// Tells before the work that a name is taken; the commit tells again.
    async fn name_is_free(&self, name: &str) -> Result<(), Error> {
        let taken = self.parts.stores.datasets.lookup(&[], &[NameKey::of(name)]).await?;
        match taken.is_empty() {
            true => Ok(()),
            false => Err(Error::Duplicate(format!("a dataset named `{name}` exists already"))),
        }
    }

    /// Reads, converts, sorts and stores the rows of a file. Starts over when a value does not fit what
    /// the first rows suggested: types that are found hold for the whole file.
    pub(super) async fn land(
        &self,
        id: &DatasetId,
        number: u64,
        file: &Opened,
        options: &ImportOptions,
        inspection: Inspection,
        progress: &Arc<Progress>,
    ) -> Result<Landed, Error> {
        let Inspection { mut contract, schema: typed, mut warnings, .. } = inspection;
        for _ in 0..ATTEMPTS_MAX {
            let target = Target {
                store: Arc::clone(&self.parts.objects),
                id: id.clone(),
                label: keys::new_label(number),
            };
            let unnamed = self.parts.in_flight.begin(target.clone());
            progress.enter(Stage::Writing);
            let reading = self.reading(file, contract.clone(), &typed, options.bad_rows_max());
            let Pass { schema, batches, tally } = rows::start(&reading, progress).await?;
            let layout = options.layout();
            let batches = self.in_order(&schema, &layout, batches)?;
            let sizes = Sizes::new(self.parts.settings.threads);
            let written = write::write(&target, &schema, &layout, sizes, batches).await;
            let files = match (written, tally.take_misfit()) {
                (Ok(files), None) => files,
                (Err(error), None) => {
                    unnamed.discard().await;
                    return Err(error);
                }
                (_, Some(misfit)) => {
                    unnamed.discard().await;
                    progress.enter(Stage::Inferring);
                    contract = self.refit(file, options, contract, &misfit, &mut warnings).await?;
                    continue;
                }
            };
            let bad_rows = tally.take_bad_rows();
            return Ok(Landed { label: target.label, contract, schema, files, bad_rows, warnings, unnamed });
        }
        Err(Error::internal("the file contradicts what was found in it, again and again"))
    }

    /// `typed` is the schema of a file that brings one.
    pub(super) fn reading(
        &self,
        file: &Opened,
        contract: Contract,
        typed: &SchemaRef,
        bad_rows_max: u64,
    ) -> Reading {
        Reading {
            schema: if contract.format.is_typed() { Arc::clone(typed) } else { contract.schema() },
            source: file.source.clone(),
            contract,
            limits: self.parts.settings.decode.clone(),
            threads: self.parts.settings.threads,
            bad_rows_max,
        }
    }

    /// The rows as `layout` wants them.
    pub(super) fn in_order(
        &self,
        schema: &SchemaRef,
        layout: &Layout,
        batches: write::Batches,
    ) -> Result<write::Batches, Error> {
        if let Some(column) = &layout.partition_column {
            write::day_column(schema, column)?;
        }
        if let Some(column) = &layout.sort_column {
            write::sort_column(schema, column)?;
        }
        let by: Vec<String> = layout.partition_column.iter().chain(&layout.sort_column).cloned().collect();
        match by.is_empty() {
            true => Ok(batches),
            false => self.parts.engine.sort(Arc::clone(schema), batches, &by),
        }
    }

    /// The contract after a value did not fit it.
    async fn refit(
        &self,
        file: &Opened,
        options: &ImportOptions,
        contract: Contract,
        misfit: &Misfit,
        warnings: &mut Vec<String>,
    ) -> Result<Contract, Error> {
        let (source, limits) = (file.source.clone(), self.parts.settings.decode.clone());
        if let Misfit::Encoding { offset, .. } = *misfit {
            let read = options.read.clone();
            let again = tasks::blocking(move || {
                decode::inspect_again(&source, &read, &limits, offset)
                    .map_err(|error| failure::of_file(&error))
            });
            let again = again.await?;
            *warnings = again.warnings;
            return Ok(again.contract);
        }
        self.infer_all(file, contract).await
    }

    /// The contract with types that hold for the whole file.
    pub(super) async fn infer_all(&self, file: &Opened, contract: Contract) -> Result<Contract, Error> {
        let (source, limits) = (file.source.clone(), self.parts.settings.decode.clone());
        let threads = self.parts.settings.threads;
        tasks::blocking(move || {
            decode::infer_all(&source, &contract, &limits, threads).map_err(|error| failure::of_file(&error))
        })
        .await
    }

    /// Stores the quarantine and describes the version to be.
    pub(super) async fn candidate(
        &self,
        id: &DatasetId,
        file: &InputFile,
        options: &ImportOptions,
        landed: Landed,
    ) -> Result<Candidate, Error> {
        write_step!("import.rows_stored");
        let kept = quarantine::write(&self.parts.objects, id, &landed.label, &landed.bad_rows).await?;
        write_step!("import.quarantine_stored");
        let source = Source {
            kind: kind_of(file, &landed.contract).to_owned(),
            file_name: file.name.clone(),
            path: file.kept_path(),
            made_by: None,
        };
        let read_contract = ReadContract {
            options: kept_options(&options.read, &landed.contract),
            found: landed.contract,
            bad_rows_max: options.bad_rows_max(),
        };
        let Layout { partition_column, sort_column } = options.layout();
        Ok(Candidate {
            label: landed.label,
            kind: VersionKind::Import,
            restored_from: None,
            source,
            read_contract: serde_json::to_value(read_contract).map_err(Error::internal)?,
            columns: columns(&landed.schema, &landed.files),
            partition_column,
            sort_column,
            files: landed.files,
            quarantine: kept,
            unnamed: Some(landed.unnamed),
        })
    }
}

/// The contract's word for where rows came from.
fn kind_of(file: &InputFile, contract: &Contract) -> &'static str {
    match (contract.format, file.is_in_s3()) {
        (decode::Format::Csv, false) => "local_csv",
        (decode::Format::Csv, true) => "s3_csv",
        (_, false) => "local_file",
        (_, true) => "s3_file",
    }
}

/// What the next import goes by: columns that are gone are not asked for again.
fn kept_options(read: &ReadOptions, found: &Contract) -> ReadOptions {
    let mut kept = read.clone();
    // A typed file brings its types, and says nothing of what a text file would be read by.
    if !found.format.is_typed() {
        kept.retain_columns(|name| found.columns.iter().any(|column| column.name == name));
    }
    kept
}

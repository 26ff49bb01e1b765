//! A small dataset in an object store, for the tests of this stage.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::array::{Array as _, ArrayRef, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;

use super::{Engine, EngineConfig, Limits, Parameters, QuerySpec, QueryStream, SpecTable, TableRows};
use crate::block_sums::BlockSums;
use crate::catalog::manifest::{self, Column, ColumnStats, DataFile, Manifest};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, QueryKind, Source, VersionKind, VersionRecord};
use crate::catalog::store::Stores;
use crate::catalog::store::sqlite::SqliteStore;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::{CommitId, DatasetId, QueryId, UserId};
use crate::storage::keys;

/// A dataset called `trips` with two files, and an engine over it.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) manifest: Manifest,
    pub(crate) version: VersionRecord,
    pub(crate) folder: tempfile::TempDir,
}

impl Fixture {
    /// Ten trips in two files, sorted by `day`, which do not overlap.
    pub(crate) async fn new() -> Self {
        Self::with_files(vec![trips(0..5), trips(5..10)], Some("day")).await
    }

    /// A dataset of these files.
    pub(crate) async fn with_files(files: Vec<RecordBatch>, sort_column: Option<&str>) -> Self {
        Self::build(files, sort_column, |_| ()).await
    }

    /// Ten trips, and an engine with other limits.
    pub(crate) async fn with_config(change: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::build(vec![trips(0..5), trips(5..10)], Some("day"), change).await
    }

    /// A dataset of these files, and an engine with other limits.
    pub(crate) async fn build(
        files: Vec<RecordBatch>,
        sort_column: Option<&str>,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let folder = tempfile::tempdir().unwrap();
        let manifest = publish(&objects, "trips", 1, files, sort_column).await;
        let version = store_manifest(&objects, &manifest).await;
        let mut config = config(&folder, 64 << 20);
        change(&mut config);
        let engine = Engine::new(config, Arc::clone(&objects), stores(&folder).history).unwrap();
        Self { engine, objects, manifest, version, folder }
    }

    /// Starts a statement.
    pub(crate) async fn run(&self, statement: &str) -> Result<QueryStream> {
        self.engine.run(spec(self, statement)).await
    }

    /// Runs a statement, and shows its rows as [`text`] does.
    pub(crate) async fn answer(&self, statement: &str) -> Result<Vec<String>> {
        text(self.run(statement).await?).await
    }
}

/// When statements of tests come.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_714_521_600);

/// A spec as `resolve` makes it, with `trips` as its only table.
pub(crate) fn spec(fixture: &Fixture, statement: &str) -> QuerySpec {
    QuerySpec {
        query_id: QueryId::random(),
        user_id: UserId::random(),
        kind: QueryKind::Query,
        statement: statement.to_owned(),
        parameters: Parameters::new(),
        tables: vec![SpecTable {
            name: "trips".to_owned(),
            rows: TableRows::Version(Arc::new(fixture.manifest.clone())),
        }],
        limits: Limits { rows: None, result_bytes: None, scan_bytes: None, deadline_ms: 300_000 },
        time_zone: "Asia/Tokyo".to_owned(),
        now: NOW,
        in_order: false,
    }
}

/// An engine that spills to `folder`, and has its history there.
pub(crate) fn engine(folder: &tempfile::TempDir, objects: &Arc<dyn ObjectStore>, memory: usize) -> Engine {
    Engine::new(config(folder, memory), Arc::clone(objects), stores(folder).history).unwrap()
}

/// What such an engine may use.
pub(crate) fn config(folder: &tempfile::TempDir, memory: usize) -> EngineConfig {
    let mut config = EngineConfig::new(folder.path().to_owned());
    config.memory_bytes_max = memory;
    config.target_partitions = 2;
    config
}

/// Stores in `folder`.
pub(crate) fn stores(folder: &tempfile::TempDir) -> Stores {
    SqliteStore::open(folder.path().join("test.db")).unwrap().stores()
}

/// Rows of `id`, `city`, `day`, `fare`: day `n` is `2024-01-01` and `n` days, and every fifth city is NULL.
pub(crate) fn trips(range: std::ops::Range<i64>) -> RecordBatch {
    use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray};
    let days = range.clone().map(|n| 19723 + i32::try_from(n).unwrap());
    let cities =
        range.clone().map(|n| (n % 5 != 4).then(|| ["東京", "大阪", "Oslo", "Lima"][n as usize % 4]));
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(range.clone())) as ArrayRef),
        ("city", Arc::new(cities.collect::<StringArray>()) as ArrayRef),
        ("day", Arc::new(Date32Array::from_iter_values(days)) as ArrayRef),
        ("fare", Arc::new(Float64Array::from_iter_values(range.map(|n| n as f64 * 1.5))) as ArrayRef),
    ])
    .unwrap()
}

/// Writes the files and returns their manifest, which is not stored yet.
pub(crate) async fn publish(
    objects: &Arc<dyn ObjectStore>,
    name: &str,
    number: u64,
    files: Vec<RecordBatch>,
    sort_column: Option<&str>,
) -> Manifest {
    let mut manifest = empty_manifest();
    manifest.number = number;
    manifest.label = format!("{number:06}-0000000a");
    manifest.source.file_name = format!("{name}.csv");
    manifest.sort_column = sort_column.map(str::to_owned);
    manifest.row_count = files.iter().map(|file| file.num_rows() as u64).sum();
    if let Some(first) = files.first() {
        manifest.columns = first
            .schema()
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| Column {
                name: field.name().clone(),
                data_type: field.data_type().clone(),
                null_count: files.iter().map(|file| file.column(index).null_count() as u64).sum(),
            })
            .collect();
    }
    for (index, rows) in files.into_iter().enumerate() {
        let key = format!("datasets/{}/data/{}/part-{index:04}.parquet", manifest.dataset_id, manifest.label);
        let mut bytes = Vec::new();
        // Without statistics in the file, what a test sees is what the manifest's do.
        let properties = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        manifest.files.push(DataFile {
            key: key.clone(),
            byte_count: bytes.len() as u64,
            row_count: rows.num_rows() as u64,
            row_group_count: 1,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
            sums: BlockSums::of(&bytes),
            partition_day: None,
            stats: rows.columns().iter().map(column_stats).collect(),
        });
        objects.put(&Path::from(key), bytes.into()).await.unwrap();
    }
    manifest
}

fn column_stats(column: &ArrayRef) -> ColumnStats {
    let (min, max) = match column.data_type() {
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            (min(column).map(|v| v.to_string()), max(column).map(|v| v.to_string()))
        }
        DataType::Date32 => {
            let column = column.as_primitive::<Date32Type>();
            (min(column).map(|v| v.to_string()), max(column).map(|v| v.to_string()))
        }
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            (min_string(column).map(str::to_owned), max_string(column).map(str::to_owned))
        }
        _ => (None, None),
    };
    ColumnStats { null_count: column.null_count() as u64, min, max }
}

/// `item` of each number below `count`, joined: long statements.
pub(crate) fn joined(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(separator)
}

/// A manifest without files or columns.
pub(crate) fn empty_manifest() -> Manifest {
    Manifest {
        format: manifest::FORMAT,
        dataset_id: DatasetId::random(),
        number: 1,
        label: "000001-0000000a".to_owned(),
        parent: None,
        kind: VersionKind::Import,
        restored_from: None,
        created_at: Timestamp::from_seconds(1_700_000_000),
        created_by: UserId::random(),
        commit_id: CommitId::random(),
        source: Source {
            kind: "local_csv".to_owned(),
            file_name: "x.csv".to_owned(),
            path: None,
            made_by: None,
        },
        read_contract: json!({}),
        columns: Vec::new(),
        partition_column: None,
        sort_column: None,
        row_count: 0,
        files: Vec::new(),
        quarantine: None,
    }
}

/// Stores a manifest, and returns the record of its version.
pub(crate) async fn store_manifest(objects: &Arc<dyn ObjectStore>, manifest: &Manifest) -> VersionRecord {
    let bytes = serde_json::to_vec(manifest).unwrap();
    let record = version_record(manifest, &bytes);
    objects.put(&keys::manifest(&manifest.dataset_id, &manifest.label), bytes.into()).await.unwrap();
    record
}

fn version_record(manifest: &Manifest, bytes: &[u8]) -> VersionRecord {
    VersionRecord {
        dataset_id: manifest.dataset_id.clone(),
        number: manifest.number,
        label: manifest.label.clone(),
        manifest_blake3: blake3::hash(bytes).to_hex().to_string(),
        kind: manifest.kind,
        row_count: manifest.row_count,
        byte_count: manifest.byte_count(),
        column_count: manifest.columns.len() as u64,
        quarantined_count: 0,
        created_at: manifest.created_at,
        created_by: manifest.created_by.clone(),
        commit_id: manifest.commit_id.clone(),
    }
}

/// The record of a dataset with one version.
pub(crate) fn dataset_record(name: &str, version: &VersionRecord) -> DatasetRecord {
    DatasetRecord {
        id: version.dataset_id.clone(),
        name: name.to_owned(),
        name_key: NameKey::of(name),
        description: String::new(),
        owner_id: version.created_by.clone(),
        source: Source {
            kind: "local_csv".to_owned(),
            file_name: "x.csv".to_owned(),
            path: None,
            made_by: None,
        },
        partition_column: None,
        sort_column: None,
        read_contract: json!({}),
        current: version.clone(),
        created_at: version.created_at,
        last_import_at: version.created_at,
        revision: 0,
    }
}

/// All rows as a table of text, one line a row, values joined by `|`.
pub(crate) async fn text(stream: QueryStream) -> Result<Vec<String>> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default().with_null("NULL");
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    let mut lines = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}

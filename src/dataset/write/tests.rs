//! Files that were written read back as the rows that went in, laid out as asked.

use arrow::array::{Date32Array, Int64Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::storage::{self, DurableLocal};

struct Bench {
    _folder: tempfile::TempDir,
    target: Target,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::open(folder.path()).unwrap());
    let target = Target { store, id: DatasetId::random(), label: storage::keys::new_label(1) };
    Bench { _folder: folder, target }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("day", DataType::Date32, true),
        Field::new("id", DataType::Int64, true),
        Field::new("名前", DataType::Utf8, true),
    ]))
}

fn batch(days: &[Option<i32>], first_id: i64) -> RecordBatch {
    let ids = (0..).map(|i| first_id + i).take(days.len());
    let names = (0..days.len()).map(|i| (i % 3 != 0).then(|| format!("名{}", i % 5)));
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Date32Array::from(days.to_vec())),
            Arc::new(Int64Array::from_iter_values(ids)),
            Arc::new(names.collect::<StringArray>()),
        ],
    )
    .unwrap()
}

async fn run(bench: &Bench, layout: &Layout, sizes: Sizes, batches: &[RecordBatch]) -> Vec<DataFile> {
    let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let stream = futures::stream::iter(batches).boxed();
    write(&bench.target, &schema(), layout, sizes, stream).await.unwrap()
}

async fn read(bench: &Bench, files: &[DataFile]) -> RecordBatch {
    let mut batches = Vec::new();
    for file in files {
        let bytes: Bytes =
            bench.target.store.get(&Path::from(file.key.as_str())).await.unwrap().bytes().await.unwrap();
        assert_eq!(storage::hash(&bytes), file.blake3);
        assert_eq!(bytes.len() as u64, file.byte_count);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    concat_batches(&schema(), &batches).unwrap()
}

#[tokio::test]
async fn rows_come_back_in_order_from_many_groups_and_files() {
    let bench = bench();
    let batches: Vec<_> = (0..7).map(|i| batch(&[Some(i), Some(i), None], i64::from(i) * 3)).collect();
    let sizes = Sizes { group_rows: 4, group_bytes: 1 << 20, file_bytes: 1, threads: 2 };
    let files = run(&bench, &Layout::default(), sizes, &batches).await;
    assert_eq!(files.len(), 4, "a file is closed after its first group when its size allows no more");
    assert_eq!(files.iter().map(|f| f.row_count).collect::<Vec<_>>(), [6, 6, 6, 3]);
    assert_eq!(read(&bench, &files).await, concat_batches(&schema(), &batches).unwrap());
}

#[tokio::test]
async fn statistics_are_those_of_the_rows() {
    let bench = bench();
    let batches = [batch(&[Some(19_000), None, Some(-5)], i64::MAX - 3)];
    let files = run(&bench, &Layout::default(), Sizes::new(2), &batches).await;
    let [day, id, name] = &files[0].stats[..] else { panic!("three columns") };
    assert_eq!((day.null_count, day.min.as_deref(), day.max.as_deref()), (1, Some("-5"), Some("19000")));
    assert_eq!(
        (id.min.as_deref(), id.max.as_deref()),
        (Some("9223372036854775804"), Some("9223372036854775806"))
    );
    assert_eq!((name.null_count, name.min.as_deref(), name.max.as_deref()), (1, Some("名1"), Some("名2")));
}

#[tokio::test]
async fn a_column_with_nan_has_no_bounds() {
    let bench = bench();
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, true)]));
    let values = arrow::array::Float64Array::from(vec![Some(1.0), Some(f64::NAN), None]);
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap();
    let stream = futures::stream::iter([Ok(batch)]).boxed();
    let files = write(&bench.target, &schema, &Layout::default(), Sizes::new(1), stream).await.unwrap();
    assert_eq!((files[0].stats[0].min.as_deref(), files[0].stats[0].max.as_deref()), (None, None));
    let key = Path::from(files[0].key.as_str());
    let bytes = bench.target.store.get(&key).await.unwrap().bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    assert!(reader.metadata().row_group(0).column(0).statistics().is_none());
    assert_eq!(reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
}

#[tokio::test]
async fn each_day_has_files_of_its_own() {
    let bench = bench();
    let layout = Layout { partition_column: Some("day".to_owned()), sort_column: None };
    let batches = [batch(&[Some(0), Some(0), Some(1)], 0), batch(&[Some(1), Some(400), None], 3)];
    let files = run(&bench, &layout, Sizes::new(2), &batches).await;
    let days: Vec<_> = files.iter().map(|f| (f.partition_day.as_deref().unwrap(), f.row_count)).collect();
    assert_eq!(
        days,
        [("1970-01-01", 2), ("1970-01-02", 2), ("1971-02-05", 1), ("__HIVE_DEFAULT_PARTITION__", 1)]
    );
    assert!(files[1].key.contains("/partitions/") && files[1].key.contains("day=1970-01-02/part-"));
    assert_eq!(read(&bench, &files).await.num_rows(), 6);
}

#[tokio::test]
async fn no_rows_make_one_empty_file() {
    let bench = bench();
    let files = run(&bench, &Layout::default(), Sizes::new(1), &[]).await;
    assert_eq!((files.len(), files[0].row_count), (1, 0));
    assert_eq!(read(&bench, &files).await.num_rows(), 0);
}

#[tokio::test]
async fn an_error_in_the_stream_ends_the_write() {
    let bench = bench();
    let stream = futures::stream::iter([Ok(batch(&[Some(1)], 1)), Err(Error::Cancelled)]).boxed();
    let outcome = write(&bench.target, &schema(), &Layout::default(), Sizes::new(2), stream).await;
    assert!(matches!(outcome, Err(Error::Cancelled)));
}

#[tokio::test]
async fn a_column_without_days_cannot_split() {
    let bench = bench();
    let layout = Layout { partition_column: Some("id".to_owned()), sort_column: None };
    let stream = futures::stream::iter([Ok(batch(&[Some(1)], 1))]).boxed();
    let error = write(&bench.target, &schema(), &layout, Sizes::new(1), stream).await.unwrap_err();
    assert!(error.to_string().contains("`id` is `int64`"), "{error}");
}

//! One Parquet file on its way into the object store.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::days::Run;
use super::encode::Encoder;
use super::{Target, stats};
use crate::catalog::manifest::DataFile;
use crate::error::Error;
use crate::storage::{Upload, keys};
use crate::tasks;
use crate::write_steps::write_step;

/// Bytes that Parquet has laid down and that are not uploaded yet.
#[derive(Debug, Clone, Default)]
struct Laid(Arc<Mutex<Vec<u8>>>);

impl Laid {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves the room of `taken` for what is laid down next: a row group is large, and growing into fresh memory
    /// copies it several times.
    fn give_back(&self, mut taken: Vec<u8>) {
        taken.clear();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = taken;
    }
}

impl io::Write for Laid {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An open file.
pub(super) struct FileWriter {
    run: Run,
    parquet: SerializedFileWriter<Laid>,
    laid: Laid,
    upload: Upload,
}

impl FileWriter {
    pub(super) async fn start(
        target: &Target,
        encoder: &Encoder,
        run: Run,
        index: usize,
    ) -> Result<Self, Error> {
        let key = match &run.day {
            Some((column, day)) => keys::partition_file(&target.id, &target.label, column, day, index),
            None => keys::data_file(&target.id, &target.label, index),
        };
        let laid = Laid::default();
        let parquet = encoder.file(laid.clone())?;
        let upload = Upload::start(&target.store, key).await?;
        Ok(Self { run, parquet, laid, upload })
    }

    /// Whether another row group of `run` belongs into this file.
    pub(super) fn takes(&self, run: &Run, bytes_max: u64) -> bool {
        self.run == *run && (self.parquet.bytes_written() as u64) < bytes_max
    }

    pub(super) async fn append(&mut self, chunks: Vec<ArrowColumnChunk>) -> Result<(), Error> {
        // Splicing copies pages that are already encoded: memory speed, so it stays on this thread.
        let splice = || {
            let mut group = self.parquet.next_row_group()?;
            for chunk in chunks {
                chunk.append_to_row_group(&mut group)?;
            }
            group.close()?;
            self.parquet.flush()?;
            Ok::<_, parquet::errors::ParquetError>(())
        };
        splice().map_err(Error::internal)?;
        let laid = self.laid.take();
        self.upload.write(&laid).await?;
        self.laid.give_back(laid);
        Ok(())
    }

    pub(super) async fn finish(self, encoder: &Encoder) -> Result<DataFile, Error> {
        let Self { run, parquet, laid, mut upload } = self;
        let metadata: ParquetMetaData =
            tasks::blocking(move || parquet.close().map_err(Error::internal)).await?;
        upload.write(&laid.take()).await?;
        let key = upload.key().to_string();
        write_step!("import.file_encoded");
        let (written, sums) = upload.finish().await?;
        Ok(DataFile {
            key,
            byte_count: written.byte_count,
            row_count: u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0),
            row_group_count: metadata.num_row_groups() as u64,
            blake3: written.blake3,
            sums,
            partition_day: run.day.map(|(_, day)| day),
            stats: stats::of_file(&encoder.schema, &metadata)?,
        })
    }
}

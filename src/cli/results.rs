//! A result on its way to a reader: copied as it comes, or drawn as a table. Never held as a whole.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use reqwest::Response;

use super::failure::{ApiFailure, Failure};
use super::format::Format;
use super::out::Out;
use super::show;
use super::sink::Sink;

/// Rows of a table in a terminal; whoever wants more wants a file.
const TABLE_ROWS_MAX: usize = 1000;
/// Bytes at the end of a text result that are kept, to see how it ended.
const TAIL_BYTES: usize = 4096;

/// Copies the body as it is, and checks that it ended well where its format can tell.
pub(super) async fn copy(mut response: Response, format: Format, mut sink: Sink<'_>) -> Result<(), Failure> {
    let mut tail = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| broken(&cause))? {
        sink.write(&chunk)?;
        tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL_BYTES)..]);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
    match format {
        Format::Ndjson => ended_well_ndjson(&tail)?,
        Format::Json => ended_well_json(&tail)?,
        // A failed body of these does not end, which was noticed above.
        Format::Table | Format::Csv | Format::Arrow | Format::Parquet | Format::Xlsx => {}
    }
    sink.finish()
}

/// Draws an Arrow stream as a table, and stops reading where the table ends.
pub(super) async fn table(response: Response, out: &mut Out) -> Result<(), Failure> {
    let mut batches = Batches::new(response);
    let (mut shown, mut rows, mut cut) = (Vec::new(), 0, false);
    while let Some(batch) = batches.next().await? {
        let room = TABLE_ROWS_MAX - rows;
        cut = batch.num_rows() > room;
        let batch = batch.slice(0, batch.num_rows().min(room));
        rows += batch.num_rows();
        shown.push(batch);
        if cut {
            break;
        }
    }
    let Some(schema) = batches.schema() else { return Err(ended_early()) };
    show::batches(&schema, &shown, out)?;
    let noun = if rows == 1 { "row" } else { "rows" };
    if cut {
        out.remark(format_args!("first {TABLE_ROWS_MAX} rows; `-o FILE` writes all of them"));
    } else {
        out.remark(format_args!("{rows} {noun}"));
    }
    Ok(())
}

/// Writes an Arrow stream as a Parquet file, one batch after the other.
pub(super) async fn parquet(response: Response, sink: Sink<'_>) -> Result<(), Failure> {
    let mut batches = Batches::new(response);
    let first = batches.next().await?;
    let Some(schema) = batches.schema() else { return Err(ended_early()) };
    let failed = |cause: parquet::errors::ParquetError| Failure::File(format!("no Parquet file: {cause}"));
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties)).map_err(failed)?;
    let mut next = first;
    while let Some(batch) = next {
        writer.write(&batch).map_err(failed)?;
        next = batches.next().await?;
    }
    writer.into_inner().map_err(failed)?.finish()
}

/// The batches of a body in Arrow's stream format.
struct Batches {
    response: Response,
    decoder: StreamDecoder,
    buffer: Buffer,
}

impl Batches {
    fn new(response: Response) -> Self {
        Self { response, decoder: StreamDecoder::new(), buffer: Buffer::default() }
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        let unreadable = |cause| Failure::Connection(format!("the server sent unreadable Arrow: {cause}"));
        loop {
            while !self.buffer.is_empty() {
                if let Some(batch) = self.decoder.decode(&mut self.buffer).map_err(unreadable)? {
                    return Ok(Some(batch));
                }
            }
            match self.response.chunk().await.map_err(|cause| broken(&cause))? {
                Some(chunk) => self.buffer = Buffer::from(chunk),
                None => {
                    self.decoder.finish().map_err(unreadable)?;
                    return Ok(None);
                }
            }
        }
    }
}

/// The last line of NDJSON says how it went; without one the rest is missing.
fn ended_well_ndjson(tail: &[u8]) -> Result<(), Failure> {
    let last = tail.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let last: serde_json::Value = serde_json::from_slice(last).unwrap_or_default();
    if let Some(error) = last.get("error") {
        return Err(error_in_result(error));
    }
    if last.get("done").is_some() { Ok(()) } else { Err(ended_early()) }
}

/// A JSON result says at its end whether it is complete.
fn ended_well_json(tail: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(tail);
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if compact.contains("\"complete\":false") || !compact.ends_with('}') {
        Err(ended_early())
    } else {
        Ok(())
    }
}

fn error_in_result(error: &serde_json::Value) -> Failure {
    match serde_json::from_value::<ApiFailure>(error.clone()) {
        Ok(failure) => Failure::Api(failure),
        Err(_) => ended_early(),
    }
}

fn broken(cause: &reqwest::Error) -> Failure {
    let mut inner: &dyn std::error::Error = cause;
    while let Some(source) = inner.source() {
        inner = source;
    }
    Failure::Connection(format!("the result is incomplete, the server stopped sending: {inner}"))
}

fn ended_early() -> Failure {
    Failure::Connection("the result is incomplete: the query failed while it was being sent".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_without_its_end_is_a_failure() {
        assert!(ended_well_ndjson(b"{\"a\":1}\n{\"done\":{\"rows\":1}}\n").is_ok());
        assert!(ended_well_ndjson(b"{\"a\":1}\n").is_err());
        assert!(ended_well_ndjson(b"{\"a\":1}\n{\"done\":{\"ro").is_err());
        assert!(ended_well_ndjson(b"").is_err());
        let failure = ended_well_ndjson(b"{\"error\":{\"code\":\"QUERY_TIMEOUT\",\"message\":\"late\"}}\n");
        assert!(matches!(failure, Err(Failure::Api(api)) if api.code == "QUERY_TIMEOUT"));

        assert!(ended_well_json(b"{\"rows\":[],\"complete\": true}\n").is_ok());
        assert!(ended_well_json(b"{\"rows\":[],\"complete\": false}").is_err());
        assert!(ended_well_json(b"{\"rows\":[1,2").is_err());
    }
}

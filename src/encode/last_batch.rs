//! The last message of an Arrow stream: a batch without rows, whose metadata says how many rows there were and
//! whether a limit cut others off. The writer of the library has no place for metadata of a batch.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow::ipc::{
    KeyValue, KeyValueArgs, MessageBuilder, MessageHeader, RecordBatchBuilder, root_as_message,
};
use flatbuffers::FlatBufferBuilder;

use super::{ROWS_KEY, TRUNCATED_KEY, internal};
use crate::error::{Error, Result};

/// The bytes of that message in a stream of `schema`.
pub(super) fn message(schema: Schema, rows: u64, truncated: bool) -> Result<Vec<u8>> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let generator = IpcDataGenerator::default();
    // Numbers the dictionaries; a batch without rows needs none of them.
    generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut tracker, &options);
    let empty = RecordBatch::new_empty(schema.into());
    let mut context = IpcWriteContext::default();
    let (_, encoded) = generator.encode(&empty, &mut tracker, &options, &mut context).map_err(internal)?;
    let told = [(ROWS_KEY, rows.to_string()), (TRUNCATED_KEY, truncated.to_string())];
    let ipc_message = with_metadata(&encoded.ipc_message, &told)?;
    let mut bytes = Vec::new();
    write_message(&mut bytes, EncodedData { ipc_message, ..encoded }, &options).map_err(internal)?;
    Ok(bytes)
}

/// The same message of a batch, with metadata.
fn with_metadata(message: &[u8], told: &[(&str, String)]) -> Result<Vec<u8>> {
    let unreadable = |what: &str| internal(ArrowError::IpcError(format!("the last batch has no {what}")));
    let message = root_as_message(message).map_err(|cause| Error::internal(cause.to_string()))?;
    let header = message.header_as_record_batch().ok_or_else(|| unreadable("header"))?;
    let nodes: Vec<_> = header.nodes().ok_or_else(|| unreadable("nodes"))?.iter().copied().collect();
    let buffers: Vec<_> = header.buffers().ok_or_else(|| unreadable("buffers"))?.iter().copied().collect();
    let variadic: Option<Vec<i64>> = header.variadicBufferCounts().map(|counts| counts.iter().collect());

    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(&buffers);
    let variadic = variadic.map(|counts| builder.create_vector(&counts));
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(header.length());
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(variadic) = variadic {
        batch.add_variadicBufferCounts(variadic);
    }
    let batch = batch.finish().as_union_value();
    let pairs: Vec<_> = told
        .iter()
        .map(|(key, value)| {
            let (key, value) = (Some(builder.create_string(key)), Some(builder.create_string(value)));
            KeyValue::create(&mut builder, &KeyValueArgs { key, value })
        })
        .collect();
    let pairs = builder.create_vector(&pairs);
    let mut rebuilt = MessageBuilder::new(&mut builder);
    rebuilt.add_version(message.version());
    rebuilt.add_header_type(MessageHeader::RecordBatch);
    rebuilt.add_header(batch);
    rebuilt.add_bodyLength(message.bodyLength());
    rebuilt.add_custom_metadata(pairs);
    let root = rebuilt.finish();
    builder.finish(root, None);
    Ok(builder.finished_data().to_vec())
}

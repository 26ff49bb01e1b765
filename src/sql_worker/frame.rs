//! Rows that came out of a worker: copied first, then checked, and only then read.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{self, Message, MessageHeader};

/// Rows of one batch. A column of nothing but NULL has no bytes that would limit it.
const ROWS_MAX: i64 = 1 << 24;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// Reads the frames of one result, each of which is a batch and what it needs. Arrow's own reader of streams waits for
/// the next bytes before it hands out a batch that has none, and those may never come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Frames {
    /// The columns, once the first frame has been read.
    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// The batch in `frame`.
    ///
    /// # Errors
    /// What is wrong with the frame.
    pub(super) fn read(&mut self, frame: Vec<u8>) -> Result<RecordBatch, String> {
        // A reader of Arrow finds most of what is wrong and says so; for the rest it panics.
        let read = catch_unwind(AssertUnwindSafe(|| self.messages(&Buffer::from_vec(frame))));
        read.unwrap_or_else(|_| Err("it cannot be read".to_owned()))
    }

    fn messages(&mut self, frame: &Buffer) -> Result<RecordBatch, String> {
        let (mut at, mut found) = (0, None);
        while at < frame.len() {
            let rest = &frame[at..];
            let (head, rest) = rest.split_at_checked(8).ok_or("it is cut off")?;
            let (mark, length) = head.split_at(4);
            if mark != CONTINUATION {
                return Err("a message does not begin where it should".to_owned());
            }
            let length = length.try_into().map(u32::from_le_bytes).map_err(|_| "it is cut off")?;
            let length = usize::try_from(length).map_err(|_| "a message is too long")?;
            let (message, rest) = rest.split_at_checked(length).ok_or("it is cut off")?;
            let message = ipc::root_as_message(message).map_err(|error| error.to_string())?;
            let body = usize::try_from(message.bodyLength()).map_err(|_| "a body has no length")?;
            if body > rest.len() {
                return Err("it is cut off".to_owned());
            }
            let begin = at + 8 + length;
            match (self.message(&message, &frame.slice_with_length(begin, body))?, &found) {
                (Some(_), Some(_)) => return Err("it has more than one batch".to_owned()),
                (Some(batch), None) => found = Some(batch),
                (None, _) => {}
            }
            at = begin + body;
        }
        found.ok_or_else(|| "it has no batch".to_owned())
    }

    /// Takes in one message; the batch, if it is one.
    fn message(&mut self, message: &Message<'_>, body: &Buffer) -> Result<Option<RecordBatch>, String> {
        let (kind, version) = (message.header_type(), message.version());
        if kind == MessageHeader::Schema {
            let schema = message.header_as_schema().ok_or("columns are not there")?;
            let schema = Arc::new(ipc::convert::fb_to_schema(schema));
            return match self.schema.replace(schema) {
                None => Ok(None),
                Some(_) => Err("it names the columns again".to_owned()),
            };
        }
        let schema = self.schema.as_ref().ok_or("rows come before their columns")?;
        if kind == MessageHeader::DictionaryBatch {
            let dictionary = message.header_as_dictionary_batch().ok_or("a dictionary is not there")?;
            check(&dictionary.data().ok_or("a dictionary is empty")?)?;
            let read = read_dictionary(body, dictionary, schema, &mut self.dictionaries, &version);
            return read.map(|()| None).map_err(|error| error.to_string());
        }
        let batch = message.header_as_record_batch().ok_or("a message is of an unknown kind")?;
        check(&batch)?;
        let read = read_record_batch(body, batch, Arc::clone(schema), &self.dictionaries, None, &version);
        read.map(Some).map_err(|error| error.to_string())
    }
}

/// Refuses what would make a reader ask for memory that nobody has: compressed buffers say themselves how long they
/// will be.
fn check(batch: &ipc::RecordBatch<'_>) -> Result<(), String> {
    if batch.compression().is_some() {
        return Err("a batch is compressed".to_owned());
    }
    if !(0..=ROWS_MAX).contains(&batch.length()) {
        return Err(format!("a batch has {} rows", batch.length()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Decimal128Array, DictionaryArray, Int64Array, ListArray, NullArray, StringArray,
    };
    use arrow::datatypes::{Int32Type, Int64Type};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{IpcWriteOptions, StreamEncoder};
    use proptest::prelude::*;

    use super::*;

    fn rows() -> RecordBatch {
        let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef),
            ("text", Arc::new(StringArray::from(vec![Some("東京"), None, Some("")])) as ArrayRef),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef),
            ("money", Arc::new(Decimal128Array::from(vec![Some(1), None, Some(-7)])) as ArrayRef),
            ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)) as ArrayRef),
            (
                "kind",
                Arc::new(
                    vec![Some("a"), None, Some("b")].into_iter().collect::<DictionaryArray<Int32Type>>(),
                ),
            ),
            ("none", Arc::new(NullArray::new(3)) as ArrayRef),
        ])
        .unwrap()
    }

    fn frames(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<Vec<u8>> {
        let mut encoder = StreamEncoder::try_new_with_options(&batches[0].schema(), options).unwrap();
        let mut frame = |batch| {
            let buffers = encoder.encode(batch).unwrap();
            buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect()
        };
        batches.iter().map(&mut frame).collect()
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let (whole, part) = (rows(), rows().slice(1, 2));
        let empty = RecordBatch::new_empty(whole.schema());
        let sent = [empty.clone(), whole, part, empty];
        check(&sent);
        let none = RecordBatch::try_from_iter([("none", Arc::new(NullArray::new(3)) as ArrayRef)]).unwrap();
        check(&[RecordBatch::new_empty(none.schema()), none.clone(), none]);

        #[track_caller]
        fn check(sent: &[RecordBatch]) {
            let mut reader = Frames::default();
            for (frame, batch) in frames(sent, IpcWriteOptions::default()).into_iter().zip(sent) {
                assert_eq!(&reader.read(frame).unwrap(), batch);
            }
            assert_eq!(reader.schema(), Some(&sent[0].schema()));
        }
    }

    #[test]
    fn frames_that_no_honest_worker_sends_are_refused() {
        let whole = frames(&[rows()], IpcWriteOptions::default()).remove(0);
        check(whole[..whole.len() - 8].to_vec(), "cut off");
        check([&whole[..], &[1, 2, 3]].concat(), "cut off");
        check([&whole[..], &[0; 8]].concat(), "does not begin");
        check(Vec::new(), "no batch");
        check([&whole[..], &whole[..]].concat(), "columns again");
        let two = frames(&[rows(), rows()], IpcWriteOptions::default());
        check(two.concat(), "more than one batch");
        check(two[1].clone(), "before their columns");
        let compressed =
            IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        check(frames(&[rows()], compressed).remove(0), "compressed");

        #[track_caller]
        fn check(frame: Vec<u8>, expected: &str) {
            let error = Frames::default().read(frame).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_with_changed_bytes_is_rows_or_an_error(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut frame = frames(&[rows()], IpcWriteOptions::default()).remove(0);
            for (place, byte) in changes {
                let place = place.index(frame.len());
                frame[place] = byte;
            }
            if let Ok(batch) = Frames::default().read(frame) {
                // Reading every value shows that the reader has checked what it let pass.
                for column in batch.columns() {
                    prop_assert!(column.to_data().validate_full().is_ok());
                }
            }
        }
    }
}

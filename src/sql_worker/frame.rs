//! Rows that came out of a worker: copied first, then checked, and only then read.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;

use crate::checked_ipc::{self, BEGIN_BYTES, Messages};

/// Reads the frames of one result, each of which is a batch and what it needs.
#[derive(Debug, Default)]
pub(super) struct Frames(Messages);

impl Frames {
    /// The columns, once the first frame has been read.
    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.schema()
    }

    /// The batch in `frame`.
    ///
    /// # Errors
    /// What is wrong with the frame.
    pub(super) fn read(&mut self, frame: Vec<u8>) -> Result<RecordBatch, String> {
        let frame = Buffer::from_vec(frame);
        let (mut at, mut found) = (0, None);
        while at < frame.len() {
            let (begin, rest) = frame[at..].split_at_checked(BEGIN_BYTES).ok_or("it is cut off")?;
            let length = usize::try_from(checked_ipc::head_length(begin)?).map_err(|_| "it is too long")?;
            let (head, rest) = rest.split_at_checked(length).ok_or("it is cut off")?;
            let body = usize::try_from(checked_ipc::announced(head)?.body_bytes);
            let body = body.map_err(|_| "a body is too long")?;
            if body > rest.len() {
                return Err("it is cut off".to_owned());
            }
            let from = at + BEGIN_BYTES + length;
            match (self.0.read(head, &frame.slice_with_length(from, body))?, &found) {
                (Some(_), Some(_)) => return Err("it has more than one batch".to_owned()),
                (Some(batch), None) => found = Some(batch),
                (None, _) => {}
            }
            at = from + body;
        }
        found.ok_or_else(|| "it has no batch".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int64Array, ListArray, NullArray,
        StringArray,
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

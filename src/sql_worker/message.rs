//! What the service and a worker say to each other, as JSON in packets. Rows are not among it: they are Arrow IPC in
//! memory that both reach, and a message only says where.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::job::Job;

/// From the service to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// The first. Comes with the areas for rows, and the file to spill to as the last descriptor.
    Begin,
    /// A query. The next one comes after its end.
    Run(Box<Job>),
    /// The answer to `Open`. A file comes as a descriptor; what is none is read by `Read`.
    Opened { request: u64, byte_count: u64, is_file: bool },
    /// The answer to `Read`: the ranges one after the other, in the descriptor.
    Bytes { request: u64, lengths: Vec<u64> },
    /// The answer to a request that failed.
    Unread { request: u64, reason: Unread },
    /// The rows in this area have been copied.
    Taken { area: usize },
    /// End the query.
    Cancel,
}

/// From a worker to the service.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// It is confined, and has tried it.
    Ready {
        /// Whether files and network are closed by Landlock too; the kernel may have none.
        landlock: bool,
    },
    /// It cannot be confined, and ends.
    Unfit(String),
    /// The query runs; the frame has its columns and no row.
    Columns(Frame),
    Rows(Frame),
    /// What is this object's size, and may I have it?
    Open {
        request: u64,
        key: String,
    },
    /// Read these ranges of an object that is no file.
    Read {
        request: u64,
        key: String,
        ranges: Vec<Range<u64>>,
    },
    /// The query has ended.
    Ended(Result<(), Failure>),
}

/// Arrow IPC in one of the areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    pub(super) area: usize,
    pub(super) byte_count: u64,
}

/// Why an object was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Unread {
    /// It is not there.
    Missing,
    /// The query's tables do not have it.
    NotGranted,
    Failed(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_back_as_they_went(
            request: u64, area: usize, byte_count: u64, key: String, ranges: Vec<(u64, u64)>,
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, end)| start..end).collect();
            check(&FromWorker::Rows(Frame { area, byte_count }))?;
            check(&FromWorker::Open { request, key: key.clone() })?;
            check(&FromWorker::Read { request, key: key.clone(), ranges })?;
            check(&FromWorker::Unfit(key.clone()))?;
            check(&ToWorker::Unread { request, reason: Unread::Failed(key) })?;
            check(&ToWorker::Bytes { request, lengths: vec![byte_count; area % 4] })?;

            fn check<T: Serialize + for<'a> Deserialize<'a> + std::fmt::Debug>(
                message: &T,
            ) -> Result<(), TestCaseError> {
                let bytes = serde_json::to_vec(message).unwrap();
                let back: T = serde_json::from_slice(&bytes).unwrap();
                prop_assert_eq!(format!("{back:?}"), format!("{message:?}"));
                Ok(())
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            prop_assert!(serde_json::from_slice::<FromWorker>(&bytes).is_err());
        }
    }
}

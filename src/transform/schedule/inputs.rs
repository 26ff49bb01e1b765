//! Whether the inputs of a transform have changed since it last read them. Pure.

use crate::catalog::record::DatasetRecord;
use crate::catalog::transform::{ExecutionRecord, ReadVersion, TransformRecord};

/// The versions that are to be read, if one of them is news. `recent` are the newest executions, and `current` the
/// datasets that are there.
///
/// An execution counts as having read a version, whatever came of it: one that failed would fail again. Of several
/// executions the highest version counts and not the newest execution, whose start a clock that was wrong may have set.
/// A version that no execution has read is news when it was made under this schedule.
pub(super) fn news(
    transform: &TransformRecord,
    recent: &[ExecutionRecord],
    current: &[DatasetRecord],
) -> Option<Vec<ReadVersion>> {
    let mut inputs = Vec::new();
    let mut is_news = false;
    for id in transform.input_ids() {
        // One that is gone cannot be read: nothing is started that must fail.
        let dataset = current.iter().find(|dataset| dataset.id == *id)?;
        let version = dataset.current.number;
        let read =
            recent.iter().flat_map(|execution| &execution.inputs).filter(|input| input.dataset_id == *id);
        is_news |= match read.map(|input| input.version).max() {
            Some(read) => version > read,
            None => dataset.current.created_at > transform.schedule.since,
        };
        inputs.push(ReadVersion { dataset_id: id.clone(), version });
    }
    is_news.then_some(inputs)
}

#[cfg(test)]
mod tests {
    use super::super::new_execution;
    use super::super::tests::{START, dataset, dataset_id, following, transform};
    use super::*;
    use crate::catalog::transform::Reason;

    /// What the newest executions have read, the newest first: versions of the first and of the second input.
    fn read(versions: &[&[u64]]) -> Vec<ExecutionRecord> {
        let execution = |versions: &&[u64]| ExecutionRecord {
            inputs: (1..)
                .zip(*versions)
                .map(|(number, version)| ReadVersion { dataset_id: dataset_id(number), version: *version })
                .collect(),
            ..new_execution(&transform(0), Reason::Request, None, START)
        };
        versions.iter().map(execution).collect()
    }

    /// The inputs, at these versions, made `late_s` after the schedule was.
    fn current(versions: &[u64], late_s: i64) -> Vec<DatasetRecord> {
        let stored = |(number, version): (u64, &u64)| {
            let mut record = dataset(&dataset_id(number), &transform(0).owner_id, START.plus_seconds(late_s));
            record.current.number = *version;
            record
        };
        (1..).zip(versions).map(stored).collect()
    }

    #[test]
    fn a_version_that_nobody_read_is_news() {
        check(&[&[3, 5]], &[3, 5], 9, None);
        check(&[&[3, 5]], &[4, 5], 9, Some([4, 5]));
        check(&[&[3, 5]], &[3, 6], -9, Some([3, 6]));
        // The newest execution need not be the one that read the most.
        check(&[&[2, 5], &[3, 4]], &[3, 5], 9, None);
        check(&[&[2, 5], &[3, 4]], &[4, 5], 9, Some([4, 5]));
        // Nobody has read it: then it is news if it is younger than the schedule.
        check(&[], &[1, 1], 9, Some([1, 1]));
        check(&[], &[1, 1], 0, None);
        check(&[&[]], &[1, 1], 9, Some([1, 1]));
        check(&[&[3]], &[3, 1], 9, Some([3, 1]));
        check(&[&[3]], &[3, 1], -9, None);
        // An input that is gone.
        check(&[&[3, 5]], &[4], 9, None);

        #[track_caller]
        fn check(recent: &[&[u64]], versions: &[u64], late_s: i64, expected: Option<[u64; 2]>) {
            let transform = following(0, &[dataset_id(1), dataset_id(2)]);
            let found = news(&transform, &read(recent), &current(versions, late_s));
            let found = found.map(|inputs| inputs.iter().map(|input| input.version).collect::<Vec<_>>());
            assert_eq!(found, expected.map(|versions| versions.to_vec()));
        }
    }
}

//! Files of a version that nothing names yet: who holds them decides what becomes of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::write::{self, Target};
use crate::tasks;

/// Labels of versions whose files are being written: nothing names them yet, and the collector must not
/// take them for leftovers, however long the import takes.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<String>>>);

impl InFlight {
    /// Before the first file of `target` is written.
    pub(super) fn begin(&self, target: Target) -> Unnamed {
        let label = target.label.clone();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(label.clone());
        Unnamed { files: Some(target), flight: Some(Flight { label, all: self.clone() }) }
    }

    pub(super) fn labels(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Keeps a label in flight until it is dropped.
#[derive(Debug)]
struct Flight {
    label: String,
    all: InFlight,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.label);
    }
}

/// Files that nothing names yet. The collector leaves them alone as long as this is there. When it is dropped, because
/// an import or a run was cancelled, took too long or failed, they are removed.
#[derive(Debug)]
pub(super) struct Unnamed {
    /// None once they may be named.
    files: Option<Target>,
    flight: Option<Flight>,
}

impl Unnamed {
    /// Removes them, and returns when they are gone.
    pub(super) async fn discard(mut self) {
        if let Some(target) = self.files.take() {
            write::discard(&target).await;
        }
    }

    /// From here on they may be named: only the collector, who looks, may remove them, once this is dropped.
    pub(super) fn keep(&mut self) {
        self.files = None;
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // Where no tasks run any more the service is ending, and the collector removes them.
        if let Some(target) = self.files.take() {
            let flight = self.flight.take();
            tasks::detach(async move {
                write::discard(&target).await;
                drop(flight);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;
    use object_store::memory::InMemory;
    use object_store::{ObjectStore, ObjectStoreExt as _};

    use super::*;
    use crate::ids::DatasetId;
    use crate::storage::keys;

    async fn stored() -> Target {
        let target =
            Target { store: Arc::new(InMemory::new()), id: DatasetId::random(), label: keys::new_label(1) };
        for folder in keys::data_folders(&target.id, &target.label) {
            target.store.put(&folder.join("part"), "rows".into()).await.unwrap();
        }
        assert!(count(&target).await > 0);
        target
    }

    async fn count(target: &Target) -> usize {
        target.store.list(None).try_collect::<Vec<_>>().await.unwrap().len()
    }

    #[tokio::test]
    async fn files_that_nobody_needs_are_removed() {
        let (in_flight, target) = (InFlight::default(), stored().await);
        let unnamed = in_flight.begin(target.clone());
        assert_eq!(in_flight.labels(), std::slice::from_ref(&target.label));
        drop(unnamed);
        while count(&target).await > 0 || !in_flight.labels().is_empty() {
            tokio::task::yield_now().await;
        }

        let target = stored().await;
        in_flight.begin(target.clone()).discard().await;
        assert_eq!((count(&target).await, in_flight.labels().len()), (0, 0));
    }

    #[tokio::test]
    async fn files_that_may_be_named_stay() {
        let (in_flight, target) = (InFlight::default(), stored().await);
        let before = count(&target).await;
        let mut unnamed = in_flight.begin(target.clone());
        unnamed.keep();
        assert_eq!(in_flight.labels(), std::slice::from_ref(&target.label));
        drop(unnamed);
        assert_eq!((count(&target).await, in_flight.labels().len()), (before, 0));
    }
}

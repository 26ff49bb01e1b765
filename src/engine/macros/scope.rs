//! Which macro a name means: the caller's own before a shared one. A shared macro sees shared ones only, so that what
//! it means does not depend on who calls it.

use std::collections::HashMap;

use super::body::Body;
use crate::catalog::name::NameKey;
use crate::catalog::record::{MacroRecord, MacroScope};
use crate::catalog::store::MacroStore;
use crate::engine::deep;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::limits::{MACRO_DEPTH_MAX, MACROS_PER_STATEMENT_MAX};

/// A macro among those of one user and the shared ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) shared: bool,
    pub(super) name: NameKey,
}

/// The macros that a statement calls, and those that they call.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Key, Body>);

impl Known {
    /// Looks `names` up for `user`, and then what they call, in one batch a level. `draft` takes the place of what is
    /// stored under its id.
    ///
    /// # Errors
    /// `OverLimit` for too many of them.
    pub(super) async fn load(
        store: &dyn MacroStore,
        user: &UserId,
        names: Vec<NameKey>,
        draft: Option<MacroRecord>,
    ) -> Result<Self> {
        let scopes = [MacroScope::User(user.clone()), MacroScope::Shared];
        let draft_id = draft.as_ref().map(|draft| draft.id.clone());
        let mut known = Self::default();
        let (mut asked, mut wanted) = (Vec::new(), names);
        known.add(draft, &mut wanted)?;
        // A level more than may be written out: there the depth is found to be too much.
        for _ in 0..=MACRO_DEPTH_MAX {
            wanted.retain(|name| !asked.contains(name));
            wanted.sort_unstable();
            wanted.dedup();
            if wanted.is_empty() {
                break;
            }
            if asked.len() + wanted.len() > MACROS_PER_STATEMENT_MAX {
                return Err(Error::OverLimit(format!(
                    "the statement calls more than {MACROS_PER_STATEMENT_MAX} functions that are not built in"
                )));
            }
            let found = store.lookup(&scopes, &wanted).await?;
            asked.append(&mut wanted);
            known
                .add(found.into_iter().filter(|record| Some(&record.id) != draft_id.as_ref()), &mut wanted)?;
        }
        Ok(known)
    }

    /// Reads `records`, and adds what they call to `wanted`.
    fn add(
        &mut self,
        records: impl IntoIterator<Item = MacroRecord>,
        wanted: &mut Vec<NameKey>,
    ) -> Result<()> {
        for record in records {
            let key = Key { shared: record.shared, name: record.name_key.clone() };
            wanted.extend(record.calls.iter().cloned());
            self.0.insert(key, deep::on_deep_stack(|| Body::parse(record))?);
        }
        Ok(())
    }

    /// What `name` means in a statement, or inside of a macro that is shared.
    pub(super) fn find(&self, name: &NameKey, in_shared: bool) -> Option<(Key, &Body)> {
        let key = |shared| Key { shared, name: name.clone() };
        let own = (!in_shared).then(|| key(false));
        own.into_iter().chain([key(true)]).find_map(|key| {
            let body = self.0.get(&key)?;
            Some((key, body))
        })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &MacroRecord> {
        self.0.values().map(|body| &body.record)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

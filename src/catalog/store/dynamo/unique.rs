//! Names that only one may have. Each is an item of its own, put and removed with the record that has it.

use super::DynamoStore;
use super::condition::Condition;
use super::item::{Attributes, Fields, Item, key, text};
use super::schema::UNIQUE_NAMES;
use super::transaction::{Transaction, Unless};
use crate::catalog::store::StoreError;

/// The attribute that says whose the name is.
const HOLDER: &str = "holderId";
/// A key has room for 2048 bytes; longer names stand there by their hash.
const NAME_BYTES_MAX: usize = 1024;

/// The key under which a name stands; `kind` keeps names of different things apart.
pub(super) fn unique(kind: &str, name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return format!("{kind}#{name}");
    }
    format!("{kind}##{}", blake3::hash(name.as_bytes()).to_hex())
}

impl Transaction<'_> {
    /// Takes a name for `holder`.
    pub(super) fn take(&mut self, name: &str, holder: &str, what: String) -> Result<&mut Self, StoreError> {
        let item = Item::new().text(UNIQUE_NAMES.key.name, name).text(HOLDER, holder);
        self.put_if(&UNIQUE_NAMES, item, Condition::absent(&UNIQUE_NAMES), Unless::Taken(what))
    }

    /// Gives up a name that `holder` has. One that is not there, because another program made the record, is fine.
    pub(super) fn release(&mut self, name: &str, holder: &str, what: String) -> &mut Self {
        let held = Condition::absent(&UNIQUE_NAMES).or(HOLDER, "=", text(holder));
        self.delete_if(&UNIQUE_NAMES, key(UNIQUE_NAMES.key.name, name), held, Unless::Conflict(what))
    }
}

impl DynamoStore {
    /// Who has the name.
    pub(super) async fn holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found = self.get(&UNIQUE_NAMES, key(UNIQUE_NAMES.key.name, name)).await?;
        found.map(|found| holder_of(&found)).transpose()
    }
}

pub(super) fn holder_of(item: &Attributes) -> Result<String, StoreError> {
    Fields::of("unique name", item).text(HOLDER)
}

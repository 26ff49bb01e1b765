//! Macros, in the table `macros`. Their names stand in `unique_names` too, which decides which macro a name means.

use async_trait::async_trait;

use super::DynamoStore;
use super::condition::Condition;
use super::item::{Attributes, Fields, Item, key, number, text};
use super::page::Query;
use super::schema::{MACROS, MACROS_BY_SCOPE, UNIQUE_NAMES};
use super::transaction::{NotDone, Transaction, Unless};
use super::unique::{holder_of, unique};
use crate::catalog::name::NameKey;
use crate::catalog::record::{MacroRecord, MacroScope};
use crate::catalog::store::{MacroStore, StoreError};
use crate::ids::MacroId;
use crate::limits::MACROS_PER_SCOPE_MAX;

#[async_trait]
impl MacroStore for DynamoStore {
    async fn get(&self, id: &MacroId) -> Result<Option<MacroRecord>, StoreError> {
        let found = DynamoStore::get(self, &MACROS, key(MACROS.key.name, id.as_str())).await?;
        found.as_ref().map(read).transpose()
    }

    async fn lookup(&self, scopes: &[MacroScope], names: &[NameKey]) -> Result<Vec<MacroRecord>, StoreError> {
        let mut wanted = Vec::new();
        for scope in scopes {
            wanted.extend(names.iter().map(|name| (&UNIQUE_NAMES, name_key(scope, name))));
        }
        let held = self.batch_get(wanted).await?;
        let ids = held.iter().map(|(_, item)| Ok((&MACROS, holder_of(item)?)));
        let found = self.batch_get(ids.collect::<Result<Vec<_>, StoreError>>()?).await?;
        let found = found.iter().map(|(_, item)| read(item)).collect::<Result<Vec<_>, _>>()?;
        // Its name may have gone to another between the two calls.
        let is_asked_for =
            |found: &MacroRecord| scopes.contains(&found.scope()) && names.contains(&found.name_key);
        Ok(found.into_iter().filter(is_asked_for).collect())
    }

    async fn of(&self, scope: &MacroScope) -> Result<Vec<MacroRecord>, StoreError> {
        let query = Query::of_index(&MACROS, &MACROS_BY_SCOPE, scope_text(scope));
        self.first(&query, MACROS_PER_SCOPE_MAX).await?.iter().map(read).collect()
    }

    async fn put(&self, record: MacroRecord) -> Result<u64, StoreError> {
        let next = record.revision + 1;
        let mut name = name_key(&record.scope(), &record.name_key);
        // Mostly the name stays. When it does not, the refusal tells which one is to be given up.
        loop {
            match self.put_macro(&record, &name).await {
                Ok(()) => return Ok(next),
                Err(NotDone::Refused(refused)) => {
                    let stored = refused.first().filter(|first| first.at == 0 && record.revision > 0);
                    let stored = stored.and_then(|first| first.stored.as_ref()).map(read).transpose()?;
                    let stored = stored.filter(|stored| stored.revision == record.revision);
                    let stored = stored.map(|stored| name_key(&stored.scope(), &stored.name_key));
                    match stored.filter(|stored| *stored != name) {
                        Some(stored) => name = stored,
                        None => return Err(NotDone::Refused(refused).into()),
                    }
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    async fn remove(&self, id: &MacroId, revision: u64) -> Result<(), StoreError> {
        let conflict = || StoreError::Conflict(noun(id));
        let stored = MacroStore::get(self, id).await?.filter(|stored| stored.revision == revision);
        let stored = stored.ok_or_else(conflict)?;
        let mut writes = Transaction::new(self);
        let same = Condition::is("revision", number(revision));
        writes.delete_if(&MACROS, key(MACROS.key.name, id.as_str()), same, Unless::Conflict(noun(id)));
        writes.release(&name_key(&stored.scope(), &stored.name_key), id.as_str(), noun(id));
        Ok(writes.run().await?)
    }
}

impl DynamoStore {
    /// Stores a macro over the one that has this revision and this unique name.
    async fn put_macro(&self, record: &MacroRecord, name: &str) -> Result<(), NotDone> {
        let (id, conflict) = (record.id.as_str(), || Unless::Conflict(noun(&record.id)));
        let taken = || format!("the macro name `{}`", record.name);
        let wanted = name_key(&record.scope(), &record.name_key);
        let item = write(&MacroRecord { revision: record.revision + 1, ..record.clone() })?;
        let mut writes = Transaction::new(self);
        if record.revision == 0 {
            writes.put_if(&MACROS, item, Condition::absent(&MACROS), conflict())?;
            writes.take(&wanted, id, taken())?;
        } else {
            let same = Condition::is("revision", number(record.revision)).and("uniqueName", "=", text(name));
            writes.put_if(&MACROS, item, same, conflict())?;
            if name != wanted {
                writes.take(&wanted, id, taken())?;
                writes.release(name, id, noun(&record.id));
            }
        }
        writes.run().await
    }
}

fn noun(id: &MacroId) -> String {
    format!("macro `{id}`")
}

/// A scope as it is stored. No id looks like the one that all share.
fn scope_text(scope: &MacroScope) -> &str {
    match scope {
        MacroScope::User(id) => id.as_str(),
        MacroScope::Shared => "shared",
    }
}

fn name_key(scope: &MacroScope, name: &NameKey) -> String {
    unique("MACRO", &format!("{}#{}", scope_text(scope), name.as_str()))
}

fn write(record: &MacroRecord) -> Result<Item, StoreError> {
    Item::new()
        .text(MACROS.key.name, record.id.as_str())
        .text("name", &record.name)
        .text("nameKey", record.name_key.as_str())
        .text("uniqueName", name_key(&record.scope(), &record.name_key))
        .text("ownerId", record.owner_id.as_str())
        .flag("isShared", record.shared)
        .text("scope", scope_text(&record.scope()))
        .text("expression", &record.expression)
        .text("description", &record.description)
        .time("createdAt", record.created_at)
        .time("updatedAt", record.updated_at)
        .number("revision", record.revision)
        .json("parameters", &record.parameters)?
        .json("calls", &record.calls)
}

fn read(item: &Attributes) -> Result<MacroRecord, StoreError> {
    let item = Fields::of("macro", item);
    let created_at = item.time("createdAt")?;
    Ok(MacroRecord {
        id: item.parsed(MACROS.key.name)?,
        name: item.text("name")?,
        name_key: item.word("nameKey")?,
        owner_id: item.parsed("ownerId")?,
        shared: item.flag("isShared"),
        parameters: item.json_or("parameters", Vec::new())?,
        expression: item.text("expression")?,
        description: item.text_or_empty("description"),
        calls: item.json_or("calls", Vec::new())?,
        created_at,
        updated_at: item.time_or("updatedAt", created_at)?,
        revision: item.number("revision")?,
    })
}

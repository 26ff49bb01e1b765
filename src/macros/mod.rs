//! Macros as people keep them: make, see, change, remove. What one is and how it is written out is `engine`'s; here
//! is who may, and that nothing is stored that does not work or breaks what calls it.
//!
//! Why apart from the engine: the engine reads macros for a statement and never writes one. This folder must not know
//! HTTP, nor which store is behind the port.

use std::sync::Arc;

use serde_json::json;

use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::name::NameKey;
use crate::catalog::record::{MacroParameter, MacroRecord, MacroScope};
use crate::catalog::store::MacroStore;
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ids::MacroId;
use crate::limits::MACROS_PER_SCOPE_MAX;

/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 2_000;

/// A macro to be.
#[derive(Debug, Clone)]
pub struct NewMacro {
    pub name: String,
    pub parameters: Vec<MacroParameter>,
    pub expression: String,
    pub description: String,
    /// Everybody's; administrators only.
    pub shared: bool,
}

/// What a change may change; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct MacroPatch {
    pub name: Option<String>,
    pub parameters: Option<Vec<MacroParameter>>,
    pub expression: Option<String>,
    pub description: Option<String>,
    pub shared: Option<bool>,
}

/// The macros of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Macros {
    store: Arc<dyn MacroStore>,
    engine: Engine,
}

impl Macros {
    #[must_use]
    pub fn new(store: Arc<dyn MacroStore>, engine: Engine) -> Self {
        Self { store, engine }
    }

    /// Where statements look macros up.
    #[must_use]
    pub fn store(&self) -> &dyn MacroStore {
        self.store.as_ref()
    }

    /// Makes a macro.
    ///
    /// # Errors
    /// As [`Engine::check_macro`]; `Duplicate` when the name is taken among the caller's macros, or the shared ones;
    /// `Forbidden` for a shared one by anybody but an administrator; `OverLimit` when there are too many.
    pub async fn create(&self, by: &Principal, new: NewMacro, now: Timestamp) -> Result<MacroRecord> {
        authorize(by, Action::CreateMacro, &Object::Service)?;
        if new.shared {
            authorize(by, Action::ShareMacros, &Object::Service)?;
        }
        let draft = MacroRecord {
            id: MacroId::random(),
            name_key: NameKey::of(&new.name),
            name: new.name,
            owner_id: by.user_id.clone(),
            shared: new.shared,
            parameters: new.parameters,
            expression: new.expression,
            description: check_description(new.description)?,
            calls: Vec::new(),
            created_at: now,
            updated_at: now,
            revision: 0,
        };
        self.room(&draft.scope()).await?;
        self.store_checked(draft).await
    }

    /// The macros that the caller's statements may call, by name: their own, then the shared ones.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, by: &Principal) -> Result<Vec<MacroRecord>> {
        let mut found = self.store.of(&MacroScope::User(by.user_id.clone())).await?;
        found.extend(self.store.of(&MacroScope::Shared).await?);
        found.sort_by(|a, b| (&a.name_key, a.shared).cmp(&(&b.name_key, b.shared)));
        Ok(found)
    }

    /// The macro of this id, or the one that this name means in the caller's statements.
    ///
    /// # Errors
    /// `NotFound` when it is not there or the caller may not see it: the two look the same.
    pub async fn get(&self, by: &Principal, id_or_name: &str) -> Result<MacroRecord> {
        self.allowed(by, Action::ReadMacro, id_or_name).await
    }

    /// Changes a macro.
    ///
    /// # Errors
    /// As [`Macros::create`]; `Conflict` when macros call it that would no longer work, or somebody else was faster.
    pub async fn change(
        &self,
        by: &Principal,
        id_or_name: &str,
        patch: MacroPatch,
        now: Timestamp,
    ) -> Result<MacroRecord> {
        let stored = self.allowed(by, Action::WriteMacro, id_or_name).await?;
        let mut draft = stored.clone();
        draft.name = patch.name.unwrap_or(draft.name);
        draft.name_key = NameKey::of(&draft.name);
        draft.parameters = patch.parameters.unwrap_or(draft.parameters);
        draft.expression = patch.expression.unwrap_or(draft.expression);
        draft.description = check_description(patch.description.unwrap_or(draft.description))?;
        draft.shared = patch.shared.unwrap_or(draft.shared);
        draft.updated_at = now;
        if draft.shared != stored.shared {
            authorize(by, Action::ShareMacros, &Object::Service)?;
            self.room(&draft.scope()).await?;
        }
        let same_call = draft.scope() == stored.scope()
            && draft.name_key == stored.name_key
            && draft.parameters.len() == stored.parameters.len();
        if !same_call {
            self.unused(&stored, "changed so").await?;
        }
        self.store_checked(draft).await
    }

    /// Removes a macro.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`; `Conflict` when macros call it, or somebody else was faster.
    pub async fn remove(&self, by: &Principal, id_or_name: &str) -> Result<()> {
        let stored = self.allowed(by, Action::WriteMacro, id_or_name).await?;
        self.unused(&stored, "removed").await?;
        Ok(self.store.remove(&stored.id, stored.revision).await?)
    }

    async fn store_checked(&self, draft: MacroRecord) -> Result<MacroRecord> {
        let checked = self.engine.check_macro(self.store(), draft).await?;
        let revision = self.store.put(checked.clone()).await?;
        Ok(MacroRecord { revision, ..checked })
    }

    async fn allowed(&self, by: &Principal, action: Action, id_or_name: &str) -> Result<MacroRecord> {
        let found = match MacroId::parse(id_or_name) {
            Ok(id) => self.store.get(&id).await?,
            Err(_) => {
                let scopes = [MacroScope::User(by.user_id.clone()), MacroScope::Shared];
                let found = self.store.lookup(&scopes, &[NameKey::of(id_or_name)]).await?;
                found.into_iter().min_by_key(|found| found.shared)
            }
        };
        let found = found.ok_or_else(|| Error::not_found("macro", id_or_name))?;
        authorize(
            by,
            action,
            &Object::Macro { id: &found.id, owner: &found.owner_id, shared: found.shared },
        )?;
        Ok(found)
    }

    async fn room(&self, scope: &MacroScope) -> Result<()> {
        if self.store.of(scope).await?.len() < MACROS_PER_SCOPE_MAX {
            return Ok(());
        }
        let whose = match scope {
            MacroScope::User(_) => "a user may have",
            MacroScope::Shared => "there may be",
        };
        let kind = if *scope == MacroScope::Shared { "shared macros" } else { "macros" };
        Err(Error::OverLimit(format!("{whose} {MACROS_PER_SCOPE_MAX} {kind}: remove one first")))
    }

    /// Refuses what would break another macro of the same scope. Who else calls a shared macro cannot be asked
    /// without reading everybody's; theirs then say what is missing.
    async fn unused(&self, stored: &MacroRecord, how: &str) -> Result<()> {
        let others = self.store.of(&stored.scope()).await?;
        let callers =
            others.iter().filter(|other| other.id != stored.id && other.calls.contains(&stored.name_key));
        let callers: Vec<&str> = callers.map(|caller| caller.name.as_str()).collect();
        if callers.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict {
            message: format!("`{}` cannot be {how}: `{}` calls it", stored.name, callers.join("`, `")),
            details: json!({ "called_by": callers }),
        })
    }
}

fn check_description(description: String) -> Result<String> {
    let n_chars = description.chars().count();
    if n_chars <= DESCRIPTION_CHARS_MAX {
        return Ok(description);
    }
    Err(Error::invalid_field(
        "description",
        format!("`description` has {n_chars} characters; at most {DESCRIPTION_CHARS_MAX} are accepted"),
    ))
}

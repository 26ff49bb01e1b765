//! People, their keys, their sign-outs and their macros.

use super::{Copied, Side};
use crate::catalog::record::{MacroRecord, MacroScope, UserRecord};
use crate::catalog::store::every;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::limits::PAGE_ITEMS_MAX;

/// Copies all users, and returns who they are.
pub(super) async fn users(from: &Side, to: &Side, copied: &mut Copied) -> Result<Vec<UserId>> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = from.stores.users.search("", &after, PAGE_ITEMS_MAX).await?;
        let Some(last) = page.last() else { return Ok(ids) };
        after.clone_from(&last.email);
        for user in page {
            ids.push(user.id.clone());
            let there = to.stores.users.get(&user.id).await?;
            if there.as_ref().is_some_and(|there| same_user(there, &user)) {
                continue;
            }
            let revision = there.map_or(0, |there| there.revision);
            let email = user.email.clone();
            let stored = to.stores.users.put(UserRecord { revision, ..user }).await;
            stored.map_err(|error| other(error.into(), &format!("user `{email}`")))?;
            copied.users += 1;
        }
    }
}

fn same_user(a: &UserRecord, b: &UserRecord) -> bool {
    *a == UserRecord { revision: a.revision, ..b.clone() }
}

/// Copies the keys of `users`.
pub(super) async fn keys(from: &Side, to: &Side, users: &[UserId], copied: &mut Copied) -> Result<()> {
    for user in users {
        for key in from.stores.keys.of_user(user).await? {
            if to.stores.keys.get(&key.id).await?.is_none() {
                to.stores.keys.add(key).await?;
                copied.keys += 1;
            }
        }
    }
    Ok(())
}

/// Copies which tokens were ended: where the same secret signs, they must stay ended.
pub(super) async fn sign_outs(from: &Side, to: &Side, copied: &mut Copied) -> Result<()> {
    for revoked in every(|page| from.stores.tokens.revoked(page)).await? {
        if !to.stores.tokens.is_revoked(&revoked.jti).await? {
            to.stores.tokens.revoke(&revoked.jti, revoked.expires_at).await?;
            copied.sign_outs += 1;
        }
    }
    Ok(())
}

/// Copies shared macros and those of `users`.
pub(super) async fn macros(from: &Side, to: &Side, users: &[UserId], copied: &mut Copied) -> Result<()> {
    let of_users = users.iter().cloned().map(MacroScope::User);
    for scope in std::iter::once(MacroScope::Shared).chain(of_users) {
        for record in from.stores.macros.of(&scope).await? {
            let there = to.stores.macros.get(&record.id).await?;
            if there
                .as_ref()
                .is_some_and(|there| *there == MacroRecord { revision: there.revision, ..record.clone() })
            {
                continue;
            }
            let revision = there.map_or(0, |there| there.revision);
            let name = record.name.clone();
            let stored = to.stores.macros.put(MacroRecord { revision, ..record }).await;
            stored.map_err(|error| other(error.into(), &format!("macro `{name}`")))?;
            copied.macros += 1;
        }
    }
    Ok(())
}

/// A unique value that something else has at the target, in words that say what to do.
pub(super) fn other(error: Error, what: &str) -> Error {
    match error {
        Error::Duplicate(_) => Error::Duplicate(format!(
            "the target has another {what}: copy to an empty installation, or to one that was copied from the same source"
        )),
        other => other,
    }
}

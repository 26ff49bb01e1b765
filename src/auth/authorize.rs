//! The table of rights. One function answers every "may they?", so no door can forget or bend it.

use super::{Principal, Role, Scope};
use crate::error::Error;
use crate::ids::{DatasetId, KeyId, QueryId, UserId};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See, query, export a dataset and its versions.
    ReadDataset,
    /// Import into, rename, restore a dataset.
    WriteDataset,
    DeleteDataset,
    CreateDataset,
    /// Look people up by address, as sharing needs.
    FindUsers,
    /// See one user's profile.
    ReadUser,
    /// Change one's own password.
    ChangePassword,
    /// Add, change, disable users.
    AdministerUsers,
    /// List, make and revoke API keys.
    ManageKeys,
    /// See what a query asks and how far it has come.
    ReadQuery,
    CancelQuery,
    /// Collect garbage, check the store.
    Maintain,
    /// Import by a path on the server.
    Operate,
}

/// What it would be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    /// The service as a whole.
    Service,
    Dataset {
        id: &'a DatasetId,
        owner: &'a UserId,
    },
    User(&'a UserId),
    /// The API keys of a user.
    KeysOf(&'a UserId),
    Key {
        id: &'a KeyId,
        owner: &'a UserId,
    },
    Query {
        id: &'a QueryId,
        owner: &'a UserId,
    },
}

/// Decides.
///
/// # Errors
/// `NotFound` for a thing that the caller may not even see, in the same words as for one that is not
/// there; `Forbidden` when it is visible, or the service itself, but this may not be done.
pub fn authorize(principal: &Principal, action: Action, object: &Object<'_>) -> Result<(), Error> {
    if !sees(principal, object) {
        return Err(not_found(object));
    }
    if principal.scope == Scope::ReadOnly && !reads(action) {
        return Err(Error::Forbidden("this API key is read-only".to_owned()));
    }
    if allowed(principal, action, object) {
        return Ok(());
    }
    Err(Error::Forbidden(denial(action).to_owned()))
}

/// Whether the caller may know that the object is there.
fn sees(principal: &Principal, object: &Object<'_>) -> bool {
    match object {
        Object::Service => true,
        Object::Dataset { owner, .. } | Object::Query { owner, .. } => {
            principal.sees_all() || **owner == principal.user_id
        }
        Object::User(user) => principal.sees_all() || **user == principal.user_id,
        // Not even an administrator's: a key made for somebody is a way to act as them.
        Object::KeysOf(owner) | Object::Key { owner, .. } => {
            principal.operator || **owner == principal.user_id
        }
    }
}

fn reads(action: Action) -> bool {
    matches!(action, Action::ReadDataset | Action::FindUsers | Action::ReadUser | Action::ReadQuery)
}

/// The rights over what the caller sees. What is not named here is not allowed.
fn allowed(principal: &Principal, action: Action, object: &Object<'_>) -> bool {
    use Action as A;
    use Object as O;
    let admin = principal.role == Role::Admin;
    match object {
        O::Service => match action {
            A::CreateDataset | A::FindUsers => true,
            A::AdministerUsers | A::Maintain => admin,
            A::Operate => principal.operator,
            _ => false,
        },
        O::Dataset { .. } => matches!(action, A::ReadDataset | A::WriteDataset | A::DeleteDataset),
        O::User(user) => match action {
            A::ReadUser => true,
            // The operator has no password; everybody else changes only their own this way.
            A::ChangePassword => **user == principal.user_id && !principal.operator,
            A::AdministerUsers => admin,
            _ => false,
        },
        O::KeysOf(_) | O::Key { .. } => matches!(action, A::ManageKeys),
        O::Query { .. } => matches!(action, A::ReadQuery | A::CancelQuery),
    }
}

fn denial(action: Action) -> &'static str {
    match action {
        Action::AdministerUsers => "only administrators may manage users",
        Action::Maintain => "only administrators may check and collect",
        Action::Operate => "only the command line on the server itself may do this",
        _ => "you may not do this",
    }
}

fn not_found(object: &Object<'_>) -> Error {
    match object {
        Object::Service => Error::Forbidden("you may not do this".to_owned()),
        Object::Dataset { id, .. } => Error::not_found("dataset", id),
        Object::User(id) | Object::KeysOf(id) => Error::not_found("user", id),
        Object::Key { id, .. } => Error::not_found("key", id),
        Object::Query { id, .. } => Error::not_found("query", id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const ACTIONS: [Action; 13] = [
        Action::ReadDataset,
        Action::WriteDataset,
        Action::DeleteDataset,
        Action::CreateDataset,
        Action::FindUsers,
        Action::ReadUser,
        Action::ChangePassword,
        Action::AdministerUsers,
        Action::ManageKeys,
        Action::ReadQuery,
        Action::CancelQuery,
        Action::Maintain,
        Action::Operate,
    ];

    /// One row a caller and object; one letter an action, in the order above:
    /// `y` allowed, `f` forbidden, `n` not found.
    #[test]
    fn every_cell_of_the_table() {
        let me = UserId::parse("user_aaaaaaaaaaaa").unwrap();
        let other = UserId::parse("user_bbbbbbbbbbbb").unwrap();
        let (id, key) =
            (DatasetId::parse("ds_000000000001").unwrap(), KeyId::parse("key_000000000001").unwrap());
        let caller =
            |role, scope| Principal { user_id: me.clone(), email: "me".into(), role, scope, operator: false };
        let user = caller(Role::User, Scope::Full);
        let reader = caller(Role::User, Scope::ReadOnly);
        let admin = caller(Role::Admin, Scope::Full);
        let admin_reader = caller(Role::Admin, Scope::ReadOnly);
        let operator = Principal::operator();

        let service = Object::Service;
        check(&user, service, "fffyyffffffff");
        check(&reader, service, "ffffyffffffff");
        check(&admin, service, "fffyyffyfffyf");
        check(&admin_reader, service, "ffffyffffffff");
        check(&operator, service, "fffyyffyfffyy");

        let mine = Object::Dataset { id: &id, owner: &me };
        check(&user, mine, "yyyffffffffff");
        check(&reader, mine, "yffffffffffff");
        check(&admin, mine, "yyyffffffffff");
        check(&admin_reader, mine, "yffffffffffff");
        check(&operator, mine, "yyyffffffffff");

        let theirs = Object::Dataset { id: &id, owner: &other };
        check(&user, theirs, "nnnnnnnnnnnnn");
        check(&reader, theirs, "nnnnnnnnnnnnn");
        check(&admin, theirs, "yyyffffffffff");
        check(&admin_reader, theirs, "yffffffffffff");
        check(&operator, theirs, "yyyffffffffff");

        let myself = Object::User(&me);
        check(&user, myself, "fffffyyffffff");
        check(&reader, myself, "fffffyfffffff");
        check(&admin, myself, "fffffyyyfffff");
        check(&admin_reader, myself, "fffffyfffffff");
        check(&operator, myself, "fffffyfyfffff");

        let another = Object::User(&other);
        check(&user, another, "nnnnnnnnnnnnn");
        check(&reader, another, "nnnnnnnnnnnnn");
        check(&admin, another, "fffffyfyfffff");
        check(&admin_reader, another, "fffffyfffffff");
        check(&operator, another, "fffffyfyfffff");
        check(&operator, Object::User(&operator.user_id), "fffffyfyfffff");

        for keys in [Object::KeysOf(&me), Object::Key { id: &key, owner: &me }] {
            check(&user, keys, "ffffffffyffff");
            check(&reader, keys, "fffffffffffff");
            check(&admin, keys, "ffffffffyffff");
            check(&admin_reader, keys, "fffffffffffff");
            check(&operator, keys, "ffffffffyffff");
        }
        for keys in [Object::KeysOf(&other), Object::Key { id: &key, owner: &other }] {
            check(&user, keys, "nnnnnnnnnnnnn");
            check(&reader, keys, "nnnnnnnnnnnnn");
            check(&admin, keys, "nnnnnnnnnnnnn");
            check(&admin_reader, keys, "nnnnnnnnnnnnn");
            check(&operator, keys, "ffffffffyffff");
        }

        let query = QueryId::parse("q_000000000001").unwrap();
        let own = Object::Query { id: &query, owner: &me };
        check(&user, own, "fffffffffyyff");
        check(&reader, own, "fffffffffyfff");
        check(&admin, own, "fffffffffyyff");
        let another = Object::Query { id: &query, owner: &other };
        check(&user, another, "nnnnnnnnnnnnn");
        check(&reader, another, "nnnnnnnnnnnnn");
        check(&admin, another, "fffffffffyyff");
        check(&admin_reader, another, "fffffffffyfff");
        check(&operator, another, "fffffffffyyff");

        #[track_caller]
        fn check(principal: &Principal, object: Object<'_>, expected: &str) {
            let got: String = ACTIONS
                .iter()
                .map(|action| match authorize(principal, *action, &object).map_err(|error| error.code()) {
                    Ok(()) => 'y',
                    Err(Code::Forbidden) => 'f',
                    Err(Code::NotFound) => 'n',
                    Err(other) => panic!("{other:?} is no answer to a question of rights"),
                })
                .collect();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn what_is_hidden_looks_like_what_is_not_there() {
        let id = DatasetId::parse("ds_000000000001").unwrap();
        let (me, other) = (UserId::random(), UserId::random());
        let principal = Principal {
            user_id: me,
            email: String::new(),
            role: Role::User,
            scope: Scope::Full,
            operator: false,
        };
        let hidden = Object::Dataset { id: &id, owner: &other };
        let error = authorize(&principal, Action::ReadDataset, &hidden).unwrap_err();
        assert_eq!(error.to_string(), Error::not_found("dataset", &id).to_string());
        assert_eq!(error.details(), Error::not_found("dataset", &id).details());
    }
}

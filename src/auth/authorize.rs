//! The table of rights. One function answers every "may they?", so no door can forget or bend it.

use super::{Principal, Role, Scope};
use crate::error::Error;
use crate::ids::{DatasetId, KeyId, MacroId, QueryId, TransformId, UserId};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See, query, export a dataset and its versions.
    ReadDataset,
    /// Import into, rename, restore a dataset.
    WriteDataset,
    DeleteDataset,
    CreateDataset,
    /// See a macro and call it.
    ReadMacro,
    /// Change and remove a macro.
    WriteMacro,
    CreateMacro,
    /// See a transform, its code and its executions.
    ReadTransform,
    /// Change and remove a transform.
    WriteTransform,
    CreateTransform,
    /// Run a transform, cancel its executions, roll back what it made.
    ExecuteTransform,
    /// Make a macro that everybody sees.
    ShareMacros,
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
    Macro {
        id: &'a MacroId,
        owner: &'a UserId,
        /// Whether everybody sees it.
        shared: bool,
    },
    Transform {
        id: &'a TransformId,
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
        Object::Dataset { owner, .. } | Object::Query { owner, .. } | Object::Transform { owner, .. } => {
            principal.sees_all() || **owner == principal.user_id
        }
        Object::Macro { owner, shared, .. } => {
            *shared || principal.sees_all() || **owner == principal.user_id
        }
        Object::User(user) => principal.sees_all() || **user == principal.user_id,
        // Not even an administrator's: a key made for somebody is a way to act as them.
        Object::KeysOf(owner) | Object::Key { owner, .. } => {
            principal.operator || **owner == principal.user_id
        }
    }
}

fn reads(action: Action) -> bool {
    matches!(
        action,
        Action::ReadDataset
            | Action::ReadMacro
            | Action::ReadTransform
            | Action::FindUsers
            | Action::ReadUser
            | Action::ReadQuery
    )
}

/// The rights over what the caller sees. What is not named here is not allowed.
fn allowed(principal: &Principal, action: Action, object: &Object<'_>) -> bool {
    use Action as A;
    use Object as O;
    let admin = principal.role == Role::Admin;
    match object {
        O::Service => match action {
            A::CreateDataset | A::CreateMacro | A::CreateTransform | A::FindUsers => true,
            A::AdministerUsers | A::Maintain | A::ShareMacros => admin,
            A::Operate => principal.operator,
            _ => false,
        },
        O::Dataset { .. } => matches!(action, A::ReadDataset | A::WriteDataset | A::DeleteDataset),
        O::Macro { shared, .. } => match action {
            A::ReadMacro => true,
            A::WriteMacro => admin || !shared,
            _ => false,
        },
        O::Transform { owner, .. } => match action {
            A::ReadTransform => true,
            A::WriteTransform => admin || **owner == principal.user_id,
            // It runs with the rights of its owner, so nobody else may start it.
            A::ExecuteTransform => **owner == principal.user_id || principal.operator,
            _ => false,
        },
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
        Action::ShareMacros => "only administrators may share macros with everybody",
        Action::WriteMacro => "only administrators may change what is shared with everybody",
        Action::ExecuteTransform => "only its owner may run a transform",
        Action::Maintain => "only administrators may check and collect",
        Action::Operate => "only the command line on the server itself may do this",
        _ => "you may not do this",
    }
}

fn not_found(object: &Object<'_>) -> Error {
    match object {
        Object::Service => Error::Forbidden("you may not do this".to_owned()),
        Object::Dataset { id, .. } => Error::not_found("dataset", id),
        Object::Macro { id, .. } => Error::not_found("macro", id),
        Object::Transform { id, .. } => Error::not_found("transform", id),
        Object::User(id) | Object::KeysOf(id) => Error::not_found("user", id),
        Object::Key { id, .. } => Error::not_found("key", id),
        Object::Query { id, .. } => Error::not_found("query", id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    const ACTIONS: [Action; 17] = [
        Action::ReadDataset,
        Action::WriteDataset,
        Action::DeleteDataset,
        Action::CreateDataset,
        Action::ReadMacro,
        Action::WriteMacro,
        Action::CreateMacro,
        Action::ShareMacros,
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

    /// A user, the same by a key that only reads, an administrator, the same by such a key, and the operator.
    fn callers(me: &UserId) -> [Principal; 5] {
        let caller = |role, scope| Principal {
            user_id: me.clone(),
            email: "me".into(),
            role,
            scope,
            operator: false,
            scan_bytes_max: None,
        };
        [
            caller(Role::User, Scope::Full),
            caller(Role::User, Scope::ReadOnly),
            caller(Role::Admin, Scope::Full),
            caller(Role::Admin, Scope::ReadOnly),
            Principal::operator(),
        ]
    }

    fn two_users() -> (UserId, UserId) {
        (UserId::parse("user_aaaaaaaaaaaa").unwrap(), UserId::parse("user_bbbbbbbbbbbb").unwrap())
    }

    #[test]
    fn every_cell_of_the_table() {
        let (me, other) = two_users();
        let (id, key) =
            (DatasetId::parse("ds_000000000001").unwrap(), KeyId::parse("key_000000000001").unwrap());
        let [user, reader, admin, admin_reader, operator] = callers(&me);

        let service = Object::Service;
        check(&user, service, "fffyffyfyffffffff");
        check(&reader, service, "ffffffffyffffffff");
        check(&admin, service, "fffyffyyyffyfffyf");
        check(&admin_reader, service, "ffffffffyffffffff");
        check(&operator, service, "fffyffyyyffyfffyy");

        let mine = Object::Dataset { id: &id, owner: &me };
        check(&user, mine, "yyyffffffffffffff");
        check(&reader, mine, "yffffffffffffffff");
        check(&admin, mine, "yyyffffffffffffff");
        check(&admin_reader, mine, "yffffffffffffffff");
        check(&operator, mine, "yyyffffffffffffff");

        let theirs = Object::Dataset { id: &id, owner: &other };
        check(&user, theirs, "nnnnnnnnnnnnnnnnn");
        check(&reader, theirs, "nnnnnnnnnnnnnnnnn");
        check(&admin, theirs, "yyyffffffffffffff");
        check(&admin_reader, theirs, "yffffffffffffffff");
        check(&operator, theirs, "yyyffffffffffffff");

        let myself = Object::User(&me);
        check(&user, myself, "fffffffffyyffffff");
        check(&reader, myself, "fffffffffyfffffff");
        check(&admin, myself, "fffffffffyyyfffff");
        check(&admin_reader, myself, "fffffffffyfffffff");
        check(&operator, myself, "fffffffffyfyfffff");

        let another = Object::User(&other);
        check(&user, another, "nnnnnnnnnnnnnnnnn");
        check(&reader, another, "nnnnnnnnnnnnnnnnn");
        check(&admin, another, "fffffffffyfyfffff");
        check(&admin_reader, another, "fffffffffyfffffff");
        check(&operator, another, "fffffffffyfyfffff");
        check(&operator, Object::User(&operator.user_id), "fffffffffyfyfffff");

        for keys in [Object::KeysOf(&me), Object::Key { id: &key, owner: &me }] {
            check(&user, keys, "ffffffffffffyffff");
            check(&reader, keys, "fffffffffffffffff");
            check(&admin, keys, "ffffffffffffyffff");
            check(&admin_reader, keys, "fffffffffffffffff");
            check(&operator, keys, "ffffffffffffyffff");
        }
        for keys in [Object::KeysOf(&other), Object::Key { id: &key, owner: &other }] {
            check(&user, keys, "nnnnnnnnnnnnnnnnn");
            check(&reader, keys, "nnnnnnnnnnnnnnnnn");
            check(&admin, keys, "nnnnnnnnnnnnnnnnn");
            check(&admin_reader, keys, "nnnnnnnnnnnnnnnnn");
            check(&operator, keys, "ffffffffffffyffff");
        }

        let query = QueryId::parse("q_000000000001").unwrap();
        let own = Object::Query { id: &query, owner: &me };
        check(&user, own, "fffffffffffffyyff");
        check(&reader, own, "fffffffffffffyfff");
        check(&admin, own, "fffffffffffffyyff");
        let another = Object::Query { id: &query, owner: &other };
        check(&user, another, "nnnnnnnnnnnnnnnnn");
        check(&reader, another, "nnnnnnnnnnnnnnnnn");
        check(&admin, another, "fffffffffffffyyff");
        check(&admin_reader, another, "fffffffffffffyfff");
        check(&operator, another, "fffffffffffffyyff");
    }

    #[test]
    fn every_cell_of_macros() {
        let (me, other) = two_users();
        let [user, reader, admin, admin_reader, operator] = callers(&me);
        let macro_id = MacroId::parse("macro_000000000001").unwrap();
        let mine = Object::Macro { id: &macro_id, owner: &me, shared: false };
        check(&user, mine, "ffffyyfffffffffff");
        check(&reader, mine, "ffffyffffffffffff");
        check(&admin, mine, "ffffyyfffffffffff");
        check(&admin_reader, mine, "ffffyffffffffffff");
        check(&operator, mine, "ffffyyfffffffffff");

        let theirs = Object::Macro { id: &macro_id, owner: &other, shared: false };
        check(&user, theirs, "nnnnnnnnnnnnnnnnn");
        check(&reader, theirs, "nnnnnnnnnnnnnnnnn");
        check(&admin, theirs, "ffffyyfffffffffff");
        check(&admin_reader, theirs, "ffffyffffffffffff");
        check(&operator, theirs, "ffffyyfffffffffff");

        for owner in [&me, &other] {
            let shared = Object::Macro { id: &macro_id, owner, shared: true };
            check(&user, shared, "ffffyffffffffffff");
            check(&reader, shared, "ffffyffffffffffff");
            check(&admin, shared, "ffffyyfffffffffff");
            check(&admin_reader, shared, "ffffyffffffffffff");
            check(&operator, shared, "ffffyyfffffffffff");
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
            scan_bytes_max: None,
        };
        let hidden = Object::Dataset { id: &id, owner: &other };
        let error = authorize(&principal, Action::ReadDataset, &hidden).unwrap_err();
        assert_eq!(error.to_string(), Error::not_found("dataset", &id).to_string());
        assert_eq!(error.details(), Error::not_found("dataset", &id).details());
    }
}

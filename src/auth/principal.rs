//! The principal: a caller after authentication.

use serde::{Deserialize, Serialize};

use crate::ids::UserId;

/// What a user may do beyond their own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes everything, and administers users.
    Admin,
    /// Reads and writes what they own.
    User,
}

/// How much of their user's rights a caller brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything the user may do.
    Full,
    /// Reading and querying only.
    ReadOnly,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub user_id: UserId,
    pub email: String,
    pub role: Role,
    pub scope: Scope,
    /// The command line on the machine itself, which may read its files and clean up.
    pub operator: bool,
    /// Bytes that a query of theirs may read, when they have a limit of their own.
    pub scan_bytes_max: Option<u64>,
}

impl Principal {
    /// Whoever has the data folder in their hands: an administrator without a user record.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            user_id: operator_id(),
            email: "operator".to_owned(),
            role: Role::Admin,
            scope: Scope::Full,
            operator: true,
            scan_bytes_max: None,
        }
    }

    /// Whether this principal sees the things of all users, so that lists need no owner.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.role == Role::Admin
    }
}

/// The id under which the operator's work is recorded. No user ever has it: theirs are hexadecimal.
#[must_use]
pub fn operator_id() -> UserId {
    #[expect(clippy::expect_used, reason = "a constant, checked by the test below")]
    UserId::parse("user_000000000000operator").expect("the operator's id is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_has_a_well_formed_id_of_its_own() {
        let operator = Principal::operator();
        assert_eq!(operator.user_id.as_str(), "user_000000000000operator");
        assert!(operator.operator && operator.sees_all());
    }
}

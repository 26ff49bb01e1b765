//! The tables: their names without the prefix, keys and indexes.
//!
//! Those of the contract come first, with the names and keys that its runbook uses; not all of them have a part of the
//! service yet. Ours follow. What a list goes by is an attribute `age`, text that sorts like a time and an id, so that
//! every place in an index is one of its own; a list of everything has the same `directory` in all items.

/// The prefix is in front of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: Key,
    pub(super) sort: Option<Key>,
    pub(super) indexes: &'static [Index],
    /// The attribute after whose time DynamoDB itself removes an item.
    pub(super) expiry: Option<&'static str>,
    /// Whether the service reads or writes it.
    pub(super) used: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) key: Key,
    pub(super) sort: Option<Key>,
}

/// An attribute of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
}

const fn text(name: &'static str) -> Key {
    Key { name, kind: Kind::Text }
}

const fn number(name: &'static str) -> Key {
    Key { name, kind: Kind::Number }
}

const fn table(name: &'static str, key: Key, indexes: &'static [Index]) -> Table {
    Table { name, key, sort: None, indexes, expiry: None, used: true }
}

const fn not_yet(name: &'static str, key: Key, indexes: &'static [Index]) -> Table {
    Table { used: false, ..table(name, key, indexes) }
}

const fn index(name: &'static str, key: Key, sort: Option<Key>) -> Index {
    Index { name, key, sort }
}

/// Of the attribute `directory`, which is the same in all that are listed together.
pub(super) const DIRECTORY: Key = text("directory");
/// What lists of ours are sorted by.
pub(super) const AGE: Key = text("age");

/// The second from which DynamoDB may remove an item.
pub(super) const EXPIRES_AT: &str = "expiresAt";

pub(super) const USERS_BY_EMAIL: Index = index("UsersByEmail", text("email"), None);
pub(super) const USERS_BY_ADDRESS: Index = index("UsersByAddress", DIRECTORY, Some(text("address")));
pub(super) const ADMINS_BY_ADDRESS: Index =
    index("AdminsByAddress", text("enabledAdmin"), Some(text("address")));
pub(super) const USERS: Table =
    table("users", text("userId"), &[USERS_BY_EMAIL, USERS_BY_ADDRESS, ADMINS_BY_ADDRESS]);

pub(super) const DATASETS_BY_AGE: Index = index("DatasetsByAge", DIRECTORY, Some(AGE));
pub(super) const DATASETS_BY_OWNER_AGE: Index = index("DatasetsByOwnerAge", text("ownerId"), Some(AGE));
pub(super) const DATASETS: Table = Table {
    sort: Some(text("SK")),
    ..table(
        "datasets",
        text("PK"),
        &[
            index("DatasetsByOwner", text("ownerId"), Some(number("createdAt"))),
            DATASETS_BY_AGE,
            DATASETS_BY_OWNER_AGE,
        ],
    )
};

pub(super) const AUDIT_BY_AGE: Index = index("LogsByAge", DIRECTORY, Some(AGE));
pub(super) const AUDIT: Table = table(
    "audit_logs",
    text("logId"),
    &[
        index("LogsByUser", text("userId"), Some(number("timestamp"))),
        index("LogsByTarget", text("targetId"), Some(number("timestamp"))),
        AUDIT_BY_AGE,
    ],
);

pub(super) const REVOKED_BY_EXPIRY: Index = index("RevokedTokensByExpiry", DIRECTORY, Some(AGE));
pub(super) const REVOKED_TOKENS: Table =
    Table { expiry: Some(EXPIRES_AT), ..table("revoked_tokens", text("jti"), &[REVOKED_BY_EXPIRY]) };

pub(super) const KEYS_BY_USER: Index = index("KeysByUser", text("userId"), Some(AGE));
pub(super) const API_KEYS: Table = table("api_keys", text("keyId"), &[KEYS_BY_USER]);

pub(super) const VERSIONS: Table =
    Table { sort: Some(number("number")), ..table("dataset_versions", text("datasetId"), &[]) };

pub(super) const EXPIRED_BY_AGE: Index = index("ExpiredVersionsByAge", DIRECTORY, Some(AGE));
pub(super) const EXPIRED: Table =
    Table { sort: Some(text("label")), ..table("expired_versions", text("datasetId"), &[EXPIRED_BY_AGE]) };

/// Commits that happened. A writer that lost the answer looks its commit up here.
pub(super) const COMMITS: Table =
    Table { expiry: Some(EXPIRES_AT), ..table("commits", text("commitId"), &[]) };

/// Names that only one may have: an index cannot promise that, a key can.
pub(super) const UNIQUE_NAMES: Table = table("unique_names", text("uniqueName"), &[]);

/// How many there are, kept in the transaction that adds or removes one.
pub(super) const COUNTERS: Table = table("counters", text("counterId"), &[]);

pub(super) const MACROS_BY_SCOPE: Index = index("MacrosByScope", text("scope"), Some(text("nameKey")));
pub(super) const MACROS: Table = table("macros", text("macroId"), &[MACROS_BY_SCOPE]);

pub(super) const QUERIES_BY_AGE: Index = index("QueriesByAge", DIRECTORY, Some(AGE));
pub(super) const QUERIES_BY_USER: Index = index("QueriesByUser", text("userId"), Some(AGE));
pub(super) const QUERIES: Table = table("queries", text("queryId"), &[QUERIES_BY_AGE, QUERIES_BY_USER]);

pub(super) const TRANSFORMS_BY_AGE: Index = index("TransformsByAge", DIRECTORY, Some(AGE));
pub(super) const TRANSFORMS_BY_OWNER_AGE: Index = index("TransformsByOwnerAge", text("ownerId"), Some(AGE));
/// Those whose schedule is live; only they have the attribute.
pub(super) const TRANSFORMS_LIVE: Index = index("LiveTransforms", text("liveSchedule"), Some(AGE));
pub(super) const TRANSFORMS: Table = table(
    "transforms",
    text("transformId"),
    &[
        index("TransformsByOwner", text("ownerId"), CREATED_AT),
        TRANSFORMS_BY_AGE,
        TRANSFORMS_BY_OWNER_AGE,
        TRANSFORMS_LIVE,
    ],
);

/// Who reads a dataset: an index could be behind when the dataset is deleted, a table is not.
pub(super) const TRANSFORM_INPUTS: Table =
    Table { sort: Some(text("transformId")), ..table("transform_inputs", text("datasetId"), &[]) };

/// Those that run; only they have the attribute.
pub(super) const EXECUTIONS_RUNNING: Index = index("RunningExecutions", text("runningNow"), Some(AGE));
/// Those that the clock asked for; only they have the attribute.
pub(super) const EXECUTIONS_BY_DUE_TIME: Index =
    index("ExecutionsByDueTime", text("transformId"), Some(number("dueAt")));
pub(super) const EXECUTIONS: Table = Table {
    sort: Some(number("startedAt")),
    ..table("transform_executions", text("transformId"), &[EXECUTIONS_RUNNING, EXECUTIONS_BY_DUE_TIME])
};

const CREATED_AT: Option<Key> = Some(number("createdAt"));

const CARDS: Table = not_yet("cards", text("cardId"), &[index("CardsByOwner", text("ownerId"), CREATED_AT)]);
const DASHBOARDS: Table =
    not_yet("dashboards", text("dashboardId"), &[index("DashboardsByOwner", text("ownerId"), CREATED_AT)]);
const SHARES: Table = not_yet(
    "dashboard_shares",
    text("shareId"),
    &[
        index("SharesByDashboard", text("dashboardId"), None),
        index("SharesByTarget", text("sharedToId"), None),
    ],
);
const FILTER_VIEWS: Table = not_yet(
    "filter_views",
    text("filterViewId"),
    &[index("FilterViewsByDashboard", text("dashboardId"), CREATED_AT)],
);
const GROUPS: Table = not_yet("groups", text("groupId"), &[index("GroupsByName", text("name"), None)]);
const MEMBERS: Table = Table {
    sort: Some(text("userId")),
    ..not_yet("group_members", text("groupId"), &[index("MembersByUser", text("userId"), None)])
};

/// Every table, those of the contract first.
pub(super) const TABLES: &[&Table] = &[
    &USERS,
    &DATASETS,
    &CARDS,
    &DASHBOARDS,
    &SHARES,
    &FILTER_VIEWS,
    &TRANSFORMS,
    &EXECUTIONS,
    &GROUPS,
    &MEMBERS,
    &AUDIT,
    &REVOKED_TOKENS,
    &API_KEYS,
    &VERSIONS,
    &EXPIRED,
    &COMMITS,
    &UNIQUE_NAMES,
    &COUNTERS,
    &MACROS,
    &QUERIES,
    &TRANSFORM_INPUTS,
];

impl Table {
    /// The attributes of its primary key.
    pub(super) fn key_attributes(&self) -> impl Iterator<Item = Key> {
        std::iter::once(self.key).chain(self.sort)
    }
}

impl Index {
    pub(super) fn key_attributes(&self) -> impl Iterator<Item = Key> {
        std::iter::once(self.key).chain(self.sort)
    }
}

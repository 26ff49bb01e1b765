//! Columns of the tables of a statement, and sets of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Derivation;

/// A column that values come from, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The table's place among those of the statement, and the column's in it.
    Table(usize, usize),
    /// A column of the rows that a recursive query made in its last step: how many such queries are around it, and
    /// the column's place. It stands for its origins until they are known.
    Step(usize, usize),
}

pub(super) type Sources = BTreeSet<Source>;

/// A column of a node of a plan. Cheap to clone, since most nodes pass columns on as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traced {
    pub(super) from: Arc<Sources>,
    pub(super) direct: Arc<Sources>,
    pub(super) how: Derivation,
}

impl Traced {
    /// A column that comes from no other.
    pub(super) fn nothing(how: Derivation) -> Self {
        Self { from: Arc::default(), direct: Arc::default(), how }
    }

    /// A column as its table has it.
    pub(super) fn source(source: Source) -> Self {
        let itself = Arc::new(Sources::from([source]));
        Self { from: Arc::clone(&itself), direct: itself, how: Derivation::Identity }
    }

    /// Values of which some are those of `self`, and others those of `other`.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self {
            from: union(&self.from, &other.from),
            direct: union(&self.direct, &other.direct),
            how: either(self.how, other.how),
        }
    }
}

/// How values came of which some came one way and some the other.
pub(super) fn either(one: Derivation, other: Derivation) -> Derivation {
    match (one, other) {
        // Neither is each value one of a column, nor does none come from one.
        (Derivation::Constant, Derivation::Identity) | (Derivation::Identity, Derivation::Constant) => {
            Derivation::Expression
        }
        (one, other) => one.max(other),
    }
}

fn union(one: &Arc<Sources>, other: &Arc<Sources>) -> Arc<Sources> {
    if other.is_subset(one) {
        Arc::clone(one)
    } else if one.is_subset(other) {
        Arc::clone(other)
    } else {
        Arc::new(one.union(other).copied().collect())
    }
}

/// What an expression takes, while it is walked.
#[derive(Debug)]
pub(super) struct Found {
    from: Sources,
    how: Derivation,
}

impl Default for Found {
    fn default() -> Self {
        Self { from: Sources::new(), how: Derivation::Constant }
    }
}

impl Found {
    /// It takes values of `column`.
    pub(super) fn take(&mut self, column: &Traced) {
        self.from.extend(column.from.iter());
        if column.how != Derivation::Constant {
            self.is_at_least(Derivation::Expression.max(column.how));
        }
    }

    pub(super) fn is_at_least(&mut self, how: Derivation) {
        self.how = self.how.max(how);
    }

    pub(super) fn into_sources(self) -> Sources {
        self.from
    }

    pub(super) fn into_column(self) -> Traced {
        Traced { from: Arc::new(self.from), direct: Arc::default(), how: self.how }
    }
}

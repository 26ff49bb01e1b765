//! Conditions of writes, with names and values apart from the text of the expression.

use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

use super::schema::Table;

/// What must hold of the stored item.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// There is no item.
    pub(super) fn absent(table: &Table) -> Self {
        Self::default().term(table.key.name, |name| format!("attribute_not_exists({name})"))
    }

    /// There is one.
    pub(super) fn present(table: &Table) -> Self {
        Self::default().term(table.key.name, |name| format!("attribute_exists({name})"))
    }

    /// The stored attribute is this.
    pub(super) fn is(attribute: &str, value: AttributeValue) -> Self {
        Self::default().and(attribute, "=", value)
    }

    /// And the stored attribute compares so with a value.
    pub(super) fn and(mut self, attribute: &str, operator: &str, value: AttributeValue) -> Self {
        let holder = format!(":c{}", self.values.len());
        self.values.insert(holder.clone(), value);
        self.term(attribute, |name| format!("{name} {operator} {holder}"))
    }

    /// And the stored attribute is this, or is not there.
    pub(super) fn and_same(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.and(attribute, "=", value),
            None => self.term(attribute, |name| format!("attribute_not_exists({name})")),
        }
    }

    /// Either.
    pub(super) fn or(mut self, attribute: &str, operator: &str, value: AttributeValue) -> Self {
        self.expression = format!("({}) OR ", self.expression);
        self.and(attribute, operator, value)
    }

    fn term(mut self, attribute: &str, term: impl FnOnce(&str) -> String) -> Self {
        let name = format!("#c{}", self.names.len());
        let joint =
            if self.expression.is_empty() || self.expression.ends_with(" OR ") { "" } else { " AND " };
        self.expression = format!("{}{joint}{}", self.expression, term(&name));
        self.names.insert(name, attribute.to_owned());
        self
    }

    pub(super) fn expression(&self) -> Option<String> {
        Some(self.expression.clone())
    }

    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        Some(self.names.clone())
    }

    /// None where it has none: DynamoDB refuses an empty list.
    pub(super) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
}

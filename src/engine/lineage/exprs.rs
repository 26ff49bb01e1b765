//! What the expressions of a node make of the columns below it.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, SetComparison, Sort, WindowFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::Derivation;
use super::found::{Found, Traced};
use super::walk::Walk;

/// Columns that an expression can name.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) schema: DFSchemaRef,
    pub(super) columns: Vec<Traced>,
}

impl Scope {
    fn column(&self, column: &Column) -> Option<&Traced> {
        self.columns.get(self.schema.maybe_index_of_column(column)?)
    }
}

impl Walk<'_> {
    /// The columns that expressions make.
    pub(super) fn exprs<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        scope: &Arc<Scope>,
    ) -> Result<Vec<Traced>> {
        exprs.into_iter().map(|expr| self.column(expr, scope)).collect()
    }

    /// A column that `expr` makes.
    fn column(&mut self, expr: &Expr, scope: &Arc<Scope>) -> Result<Traced> {
        match expr {
            Expr::Alias(alias) => self.column(&alias.expr, scope),
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => self.named(expr, scope),
            other => {
                let mut found = Found::default();
                self.within(other, scope, &mut found)?;
                let column = found.into_column();
                self.count(column.from.len())?;
                Ok(column)
            }
        }
    }

    /// The column that `expr` names.
    fn named(&self, expr: &Expr, scope: &Scope) -> Result<Traced> {
        let found = match expr {
            Expr::Column(column) => scope.column(column),
            Expr::OuterReferenceColumn(_, column) => {
                self.outer.iter().rev().find_map(|outer| outer.column(column))
            }
            _ => None,
        };
        found.cloned().ok_or_else(|| DataFusionError::Internal(format!("`{expr}` names no column")))
    }

    /// What `expr` takes, whatever it does with it.
    fn within(&mut self, expr: &Expr, scope: &Arc<Scope>, found: &mut Found) -> Result<()> {
        match expr {
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => {
                found.take(&self.named(expr, scope)?);
                Ok(())
            }
            Expr::AggregateFunction(AggregateFunction { params, .. }) => {
                found.is_at_least(Derivation::Aggregate);
                self.influenced(params.filter.as_deref().into_iter().chain(keys(&params.order_by)), scope)?;
                params.args.iter().try_for_each(|arg| self.within(arg, scope, found))
            }
            Expr::WindowFunction(call) => {
                found.is_at_least(Derivation::Window);
                let WindowFunction { params, .. } = call.as_ref();
                let around = params.partition_by.iter().chain(keys(&params.order_by));
                self.influenced(around.chain(params.filter.as_deref()), scope)?;
                params.args.iter().try_for_each(|arg| self.within(arg, scope, found))
            }
            Expr::ScalarSubquery(subquery) => {
                found.is_at_least(Derivation::Expression);
                self.subquery(&subquery.subquery, scope, true)
            }
            Expr::Exists(exists) => {
                found.is_at_least(Derivation::Expression);
                self.subquery(&exists.subquery.subquery, scope, false)
            }
            Expr::InSubquery(InSubquery { expr, subquery, .. })
            | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
                found.is_at_least(Derivation::Expression);
                self.subquery(&subquery.subquery, scope, true)?;
                self.within(expr, scope, found)
            }
            other => {
                other.apply_children(|child| {
                    self.within(child, scope, found)?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
                Ok(())
            }
        }
    }

    /// A query inside of an expression decides about rows or values, and makes none of them.
    fn subquery(&mut self, plan: &LogicalPlan, scope: &Arc<Scope>, for_its_values: bool) -> Result<()> {
        let columns = self.inside(scope, |walk| walk.plan(plan))?;
        if for_its_values {
            self.influences.extend(columns.iter().flat_map(|column| column.from.iter()));
        }
        Ok(())
    }

    /// Expressions that decide about rows.
    pub(super) fn influenced<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        scope: &Arc<Scope>,
    ) -> Result<()> {
        for expr in exprs {
            let mut found = Found::default();
            self.within(expr, scope, &mut found)?;
            self.influences.extend(found.into_sources());
        }
        Ok(())
    }

    /// Walks what can name the columns of `scope` besides its own.
    pub(super) fn inside<T>(
        &mut self,
        scope: &Arc<Scope>,
        walk: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.outer.push(Arc::clone(scope));
        let walked = walk(self);
        self.outer.pop();
        walked
    }
}

/// What rows are sorted by.
pub(super) fn keys(sorted: &[Sort]) -> impl Iterator<Item = &Expr> {
    sorted.iter().map(|sort| &sort.expr)
}

//! From the tables of a plan up: what each column of each node is made of.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::JoinType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, RecursiveQuery, TableScan, Union, Unnest, Values,
};

use super::Derivation;
use super::exprs::{Scope, keys};
use super::found::{Found, Source, Sources, Traced};
use super::steps;
use crate::engine::functions::refused;
use crate::limits;

/// What was found of a plan.
#[derive(Debug)]
pub(super) struct Walked {
    /// One for each column of its schema.
    pub(super) columns: Vec<Traced>,
    pub(super) influences: Sources,
}

/// Which table of the statement is read, by its place; None when it is a function that stands for a table.
pub(super) type TableOf<'a> = &'a dyn Fn(&TableScan, &dyn TableProvider) -> Option<usize>;

/// Walks a plan that has not been optimised.
///
/// # Errors
/// `OverLimit` when its columns come from too many others; `Internal` for a plan with names that nothing has.
pub(super) fn walk(plan: &LogicalPlan, table_of: TableOf<'_>) -> Result<Walked> {
    let mut walk =
        Walk { table_of, influences: Sources::new(), outer: Vec::new(), steps: Vec::new(), counted: 0 };
    let columns = walk.plan(plan)?;
    walk.count(columns.iter().map(|column| column.from.len()).sum())?;
    Ok(Walked { columns, influences: walk.influences })
}

/// A walk, and what it has found so far.
pub(super) struct Walk<'a> {
    table_of: TableOf<'a>,
    pub(super) influences: Sources,
    /// What the queries around a sub-query can name, innermost last.
    pub(super) outer: Vec<Arc<Scope>>,
    /// The recursive queries around, innermost last, and how many columns they have.
    steps: Vec<(String, usize)>,
    /// Origins that were put down so far.
    counted: usize,
}

impl Walk<'_> {
    /// The columns of `plan`.
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<Vec<Traced>> {
        let columns = self.node(plan)?;
        if columns.len() == plan.schema().fields().len() {
            return Ok(columns);
        }
        Err(DataFusionError::Internal(format!(
            "{} columns were found of a plan that has {}",
            columns.len(),
            plan.schema().fields().len()
        )))
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<Vec<Traced>> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let scope = self.scope(&projection.input)?;
                self.exprs(&projection.expr, &scope)
            }
            LogicalPlan::Filter(filter) => self.passing(&filter.input, [&filter.predicate]),
            LogicalPlan::Sort(sort) => self.passing(&sort.input, keys(&sort.expr)),
            LogicalPlan::Limit(limit) => {
                self.passing(&limit.input, limit.skip.as_deref().into_iter().chain(limit.fetch.as_deref()))
            }
            LogicalPlan::Repartition(repartition) => self.plan(&repartition.input),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Subquery(subquery) => self.plan(&subquery.subquery),
            LogicalPlan::Window(window) => {
                let scope = self.scope(&window.input)?;
                let made = self.exprs(&window.window_expr, &scope)?;
                Ok([scope.columns.clone(), made].concat())
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(distinct) => self.distinct(distinct),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::RecursiveQuery(query) => self.recursive(query),
            LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_) => {
                Ok(vec![Traced::nothing(Derivation::Constant); plan.schema().fields().len()])
            }
            // Nobody has said what another kind of node does.
            LogicalPlan::Extension(_) => self.anything(plan),
        }
    }

    fn scope(&mut self, input: &LogicalPlan) -> Result<Arc<Scope>> {
        Ok(Arc::new(Scope { schema: Arc::clone(input.schema()), columns: self.plan(input)? }))
    }

    /// A node that passes columns on, and whose expressions only choose rows.
    fn passing<'e>(
        &mut self,
        input: &LogicalPlan,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<Vec<Traced>> {
        let scope = self.scope(input)?;
        self.influenced(exprs, &scope)?;
        Ok(Arc::unwrap_or_clone(scope).columns)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Vec<Traced>> {
        let scope = self.scope(&aggregate.input)?;
        let groups = grouping_set_to_exprlist(&aggregate.group_expr)?;
        self.influenced(groups.iter().copied(), &scope)?;
        let mut columns = self.exprs(groups, &scope)?;
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            // Which of the sets a row is of.
            columns.push(Traced::nothing(Derivation::Aggregate));
        }
        columns.extend(self.exprs(&aggregate.aggr_expr, &scope)?);
        Ok(columns)
    }

    fn distinct(&mut self, distinct: &Distinct) -> Result<Vec<Traced>> {
        match distinct {
            Distinct::All(input) => {
                let columns = self.plan(input)?;
                self.influences.extend(columns.iter().flat_map(|column| column.from.iter()));
                Ok(columns)
            }
            Distinct::On(on) => {
                let scope = self.scope(&on.input)?;
                let sorted = on.sort_expr.iter().flat_map(|sort| keys(sort));
                self.influenced(on.on_expr.iter().chain(sorted), &scope)?;
                self.exprs(&on.select_expr, &scope)
            }
        }
    }

    fn join(&mut self, join: &Join) -> Result<Vec<Traced>> {
        let left = self.scope(&join.left)?;
        // The right side of a lateral join looks at the left one.
        let right = self.inside(&left, |walk| walk.scope(&join.right))?;
        for (left_key, right_key) in &join.on {
            self.influenced([left_key], &left)?;
            self.influenced([right_key], &right)?;
        }
        let both = || [left.columns.clone(), right.columns.clone()].concat();
        if let Some(filter) = &join.filter {
            let schema = Arc::new(left.schema.join(&right.schema)?);
            self.influenced([filter], &Arc::new(Scope { schema, columns: both() }))?;
        }
        let mark = || Traced::nothing(Derivation::Expression);
        Ok(match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both(),
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns.clone(),
            JoinType::RightSemi | JoinType::RightAnti => right.columns.clone(),
            JoinType::LeftMark => [left.columns.clone(), vec![mark()]].concat(),
            JoinType::RightMark => [right.columns.clone(), vec![mark()]].concat(),
        })
    }

    fn union(&mut self, union: &Union) -> Result<Vec<Traced>> {
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            inputs.push(self.plan(input)?);
        }
        let mut inputs = inputs.into_iter();
        let Some(mut columns) = inputs.next() else { return Ok(Vec::new()) };
        for input in inputs {
            for (column, other) in columns.iter_mut().zip(&input) {
                *column = column.or(other);
                self.count(column.from.len())?;
            }
        }
        Ok(columns)
    }

    fn unnest(&mut self, unnest: &Unnest) -> Result<Vec<Traced>> {
        let scope = self.scope(&unnest.input)?;
        // A row becomes as many as its list is long.
        let lists: Vec<_> = unnest.exec_columns.iter().cloned().map(Expr::Column).collect();
        self.influenced(&lists, &scope)?;
        let taken_apart = |index: &usize| {
            unnest.list_type_columns.iter().any(|(list, _)| list == index)
                || unnest.struct_type_columns.contains(index)
        };
        let columns = unnest.dependency_indices.iter().map(|index| {
            let column = &scope.columns[*index];
            if !taken_apart(index) {
                return column.clone();
            }
            let mut found = Found::default();
            found.take(column);
            found.into_column()
        });
        Ok(columns.collect())
    }

    fn values(&mut self, values: &Values) -> Result<Vec<Traced>> {
        let nothing =
            Arc::new(Scope { schema: Arc::new(datafusion::common::DFSchema::empty()), columns: Vec::new() });
        let mut columns: Vec<Traced> = Vec::new();
        for row in &values.values {
            let row = self.exprs(row, &nothing)?;
            if columns.is_empty() {
                columns = row;
                continue;
            }
            for (column, other) in columns.iter_mut().zip(&row) {
                *column = column.or(other);
            }
        }
        Ok(columns)
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Vec<Traced>> {
        let provider = source_as_provider(&scan.source)?;
        let all: Vec<Traced> = if provider.is::<CteWorkTable>() {
            let name = scan.table_name.table();
            let around = self.steps.iter().rposition(|(step, _)| step == name);
            let level = around.ok_or_else(|| {
                DataFusionError::Internal(format!("`{name}` is read outside of its recursive query"))
            })?;
            (0..self.steps[level].1).map(|column| Traced::source(Source::Step(level, column))).collect()
        } else {
            let n_columns = provider.schema().fields().len();
            match (self.table_of)(scan, provider.as_ref()) {
                Some(table) => {
                    (0..n_columns).map(|column| Traced::source(Source::Table(table, column))).collect()
                }
                None => vec![Traced::nothing(Derivation::Constant); n_columns],
            }
        };
        Ok(match &scan.projection {
            Some(projection) => projection.iter().filter_map(|index| all.get(*index).cloned()).collect(),
            None => all,
        })
    }

    fn recursive(&mut self, query: &RecursiveQuery) -> Result<Vec<Traced>> {
        let start = self.plan(&query.static_term)?;
        let level = self.steps.len();
        self.steps.push((query.name.clone(), start.len()));
        let step = self.plan(&query.recursive_term);
        self.steps.pop();
        let columns = steps::close(level, &start, &step?);
        self.count(columns.iter().map(|column| column.from.len()).sum())?;
        self.influences = steps::put(&self.influences, level, &columns);
        if query.is_distinct {
            self.influences.extend(columns.iter().flat_map(|column| column.from.iter()));
        }
        Ok(columns)
    }

    /// Each column may come from all that there is below.
    fn anything(&mut self, plan: &LogicalPlan) -> Result<Vec<Traced>> {
        let mut found = Found::default();
        found.is_at_least(Derivation::Expression);
        for input in plan.inputs() {
            self.plan(input)?.iter().for_each(|column| found.take(column));
        }
        Ok(vec![found.into_column(); plan.schema().fields().len()])
    }

    /// Two thousand columns that are each made of two thousand are easily written.
    pub(super) fn count(&mut self, origins: usize) -> Result<()> {
        self.counted += origins;
        if self.counted <= limits::LINEAGE_ORIGINS_MAX {
            return Ok(());
        }
        Err(refused(format!(
            "the columns of the statement come from too many others: at most {} origins can be listed",
            limits::LINEAGE_ORIGINS_MAX
        )))
    }
}

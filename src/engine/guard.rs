//! What a statement would cost to plan, read off its syntax tree before anything plans it.
//!
//! Why: planning is where a short text becomes a large thing. A flat chain of ten thousand terms recurses
//! through the planner's stack, a common table expression that names itself twice in the next one doubles
//! with every level, a cube of twenty columns is a million groupings, and none of it can be stopped once it
//! runs. All of it can be counted here, in one walk.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, ObjectName, Query, Select, SelectItem, SetExpr, Spanned as _,
    TableFactor, UnaryOperator, Value, ValueWithSpan, Visit as _, Visitor,
};

use crate::error::{Error, Place, Result};
use crate::limits;

/// Refuses what would cost too much to plan.
///
/// # Errors
/// `OverLimit`, which says what there is too much of, how much, where, and what to write instead.
pub(super) fn check(query: &Query) -> Result<()> {
    let mut guard = Guard::default();
    match query.visit(&mut guard) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// What a part of a statement amounts to when every common table expression is written out where it is used.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    nodes: u64,
    tables: u64,
    /// Names and literals.
    bytes: u64,
    queries: u64,
    windows: u64,
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.tables = self.tables.saturating_add(other.tables);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.queries = self.queries.saturating_add(other.queries);
        self.windows = self.windows.saturating_add(other.windows);
    }

    /// What there is too much of, how much of it, and how much is accepted.
    fn excess(&self) -> Option<(&'static str, &'static str, u64, u64)> {
        let bounds = [
            ("names", "tables", self.tables, limits::TABLES_PER_STATEMENT_MAX as u64),
            ("has", "parts", self.nodes, limits::STATEMENT_NODES_MAX),
            ("has", "sub-queries", self.queries, limits::SUB_QUERIES_MAX),
            ("has", "window functions", self.windows, limits::WINDOWS_MAX),
            ("has", "bytes of names and literals", self.bytes, limits::WRITTEN_OUT_BYTES_MAX),
        ];
        bounds.into_iter().find(|(.., count, max)| count > max)
    }
}

/// A query that is being walked.
#[derive(Debug, Default)]
struct Frame {
    weight: Weight,
    /// Common table expressions that were in force before it.
    outer: usize,
    /// For the body of a common table expression: its name.
    defines: Option<String>,
}

#[derive(Debug, Default)]
struct Guard {
    frames: Vec<Frame>,
    /// Common table expressions in force, innermost last, with what one use of each amounts to.
    named: Vec<(String, Weight)>,
    /// Definitions that will be walked next, by their address in the tree.
    pending: Vec<(*const Query, String)>,
    depth: usize,
    /// Values of lists that will be walked next and count as nothing.
    free: u64,
}

impl Guard {
    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn add(&mut self, weight: Weight) -> ControlFlow<Error> {
        self.frame().weight.add(weight);
        match self.frame().weight.excess() {
            None => ControlFlow::Continue(()),
            Some((verb, what, count, max)) => {
                let count = shown(count);
                over(
                    format!(
                        "the statement {verb} {count} {what} once its common table expressions are written out"
                    ),
                    max,
                )
            }
        }
    }

    /// A name or a literal: it is copied wherever it is written out.
    fn named(&mut self, name: &str) -> ControlFlow<Error> {
        if name.len() > limits::NAME_BYTES_MAX {
            return over(format!("a name has {} bytes", name.len()), limits::NAME_BYTES_MAX as u64);
        }
        self.add(Weight { bytes: name.len() as u64, ..Weight::default() })
    }

    fn count(&mut self, nodes: u64) -> ControlFlow<Error> {
        self.add(Weight { nodes, ..Weight::default() })
    }
}

/// Numbers that only show that something doubles many times are not worth their digits.
fn shown(count: u64) -> String {
    if count > 1_000_000 { "more than a million".to_owned() } else { count.to_string() }
}

fn over(what: String, max: u64) -> ControlFlow<Error> {
    ControlFlow::Break(Error::OverLimit(format!("{what}; at most {max} are accepted")))
}

impl Visitor for Guard {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let address = std::ptr::from_ref(query);
        let defines = self.pending.iter().position(|(pending, _)| *pending == address);
        let defines = defines.map(|at| self.pending.swap_remove(at).1);
        self.frames.push(Frame { weight: Weight::default(), outer: self.named.len(), defines });
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.named(&cte.alias.name.value)?;
            self.pending.push((std::ptr::from_ref(cte.query.as_ref()), cte.alias.name.value.clone()));
        }
        if !query.locks.is_empty() {
            let what = "`FOR UPDATE` and `FOR SHARE` are not accepted: queries only read".to_owned();
            return ControlFlow::Break(Error::NotSupported(what));
        }
        let operations = set_operations(&query.body);
        if operations > limits::SET_OPERATIONS_MAX {
            return over(
                format!("one query has {operations} set operations such as UNION"),
                limits::SET_OPERATIONS_MAX,
            );
        }
        self.add(Weight { nodes: 1 + operations, queries: 1, ..Weight::default() })
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        let Some(frame) = self.frames.pop() else { return ControlFlow::Continue(()) };
        self.named.truncate(frame.outer);
        match frame.defines {
            Some(name) => {
                self.named.push((name, frame.weight));
                ControlFlow::Continue(())
            }
            None => self.add(frame.weight),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        let columns = select.projection.len() as u64;
        if columns > limits::COLUMNS_PER_RESULT_MAX {
            return over(format!("one SELECT has {columns} columns"), limits::COLUMNS_PER_RESULT_MAX);
        }
        let sets = grouping_sets(&select.group_by);
        if sets > limits::GROUPING_SETS_MAX {
            let what = "groupings from CUBE, ROLLUP and GROUPING SETS together";
            return over(format!("one GROUP BY makes {} {what}", shown(sets)), limits::GROUPING_SETS_MAX);
        }
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.named(&alias.value)?;
            }
        }
        self.count(1)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let (TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::UNNEST { alias, .. }) = factor
        else {
            return ControlFlow::Continue(());
        };
        let Some(alias) = alias else { return ControlFlow::Continue(()) };
        self.named(&alias.name.value)?;
        alias.columns.iter().try_for_each(|column| self.named(&column.name.value))
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        let alone = match name.0.as_slice() {
            [part] => part.as_ident().map(|ident| ident.value.as_str()),
            _ => None,
        };
        let is_named = |known: &str| alone.is_some_and(|name| name.eq_ignore_ascii_case(known));
        let cte = self.named.iter().rev().find(|(known, _)| is_named(known));
        self.add(cte.map_or(Weight { nodes: 1, tables: 1, ..Weight::default() }, |(_, weight)| *weight))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.depth += 1;
        if self.depth > limits::EXPRESSION_DEPTH_MAX {
            let start = expr.span().start;
            let place = (start.line > 0).then_some(Place { line: start.line, column: start.column });
            let place = place
                .map_or(String::new(), |Place { line, column }| format!(" (line {line}, column {column})"));
            return ControlFlow::Break(Error::OverLimit(format!(
                "an expression joins more than {0} terms, or nests deeper than {0} levels{place}: write `x IN (…)` \
                 for many comparisons with `OR`, or split it over several columns",
                limits::EXPRESSION_DEPTH_MAX
            )));
        }
        match expr {
            Expr::Value(value) => self.add(Weight { bytes: literal_bytes(value), ..Weight::default() })?,
            Expr::Identifier(name) => self.named(&name.value)?,
            Expr::CompoundIdentifier(names) => names.iter().try_for_each(|name| self.named(&name.value))?,
            Expr::Function(function) if function.over.is_some() => {
                self.add(Weight { windows: 1, ..Weight::default() })?;
            }
            _ => {}
        }
        if self.free > 0 && matches!(expr, Expr::Value(_)) {
            self.free -= 1;
            return ControlFlow::Continue(());
        }
        // A list of values is one set to look up in, however long; the text's length bounds it.
        if let Expr::InList { list, .. } = expr {
            self.free += list.iter().filter(|item| is_literal(item)).count() as u64;
        }
        self.count(1)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// UNION, EXCEPT and INTERSECT in one query, without those of its sub-queries. Walked with a list of our
/// own: a chain of thousands is a tree that deep.
fn set_operations(body: &SetExpr) -> u64 {
    let (mut count, mut waiting) = (0, vec![body]);
    while let Some(body) = waiting.pop() {
        if let SetExpr::SetOperation { left, right, .. } = body {
            count += 1;
            waiting.extend([left.as_ref(), right.as_ref()]);
        }
    }
    count
}

/// How many groupings a GROUP BY stands for.
fn grouping_sets(group_by: &GroupByExpr) -> u64 {
    let power = |count: usize| 2_u64.saturating_pow(u32::try_from(count).unwrap_or(u32::MAX));
    let (columns, modifiers) = match group_by {
        GroupByExpr::All(modifiers) => (&[][..], modifiers),
        GroupByExpr::Expressions(columns, modifiers) => (columns.as_slice(), modifiers),
    };
    let each = columns.iter().map(|column| match column {
        Expr::Cube(sets) => power(sets.len()),
        Expr::Rollup(sets) => sets.len() as u64 + 1,
        Expr::GroupingSets(sets) => sets.len() as u64,
        _ => 1,
    });
    let with = modifiers.iter().map(|modifier| match modifier {
        GroupByWithModifier::Cube => power(columns.len()),
        GroupByWithModifier::Rollup | GroupByWithModifier::Totals => columns.len() as u64 + 1,
        GroupByWithModifier::GroupingSets(Expr::GroupingSets(sets)) => sets.len() as u64,
        GroupByWithModifier::GroupingSets(_) => 1,
    });
    each.chain(with).fold(1, u64::saturating_mul)
}

/// Bytes of a literal; a number is short.
fn literal_bytes(value: &ValueWithSpan) -> u64 {
    match &value.value {
        Value::Number(digits, _) => digits.len() as u64,
        Value::Boolean(_) | Value::Null => 1,
        text => text.clone().into_string().map_or(1, |text| text.len() as u64),
    }
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            matches!(**expr, Expr::Value(_))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement;
    use super::super::testing::joined as many;

    #[test]
    fn what_people_write_passes() {
        check(&format!("select {}", many(60, " + ", |n| n.to_string())));
        check(&format!("select * from t where x in ({})", many(2000, ", ", |n| n.to_string())));
        check(&format!("select * from t where x in ({})", many(2000, ", ", |n| format!("-{n}"))));
        check(&format!("select * from t where {}", many(200, " or ", |n| format!("x = {n}"))));
        check(&format!(
            "with {} select * from c11",
            many(12, ", ", |n| match n {
                0 => "c0 as (select * from t)".to_owned(),
                n => format!("c{n} as (select *, {n} from c{})", n - 1),
            })
        ));
        check(&format!("select {} from t", many(500, ", ", |n| format!("a{n} as b{n}"))));
        check(&many(30, " union all ", |n| format!("select {n} from t{n}")));
        check(
            "select sum(x) over (partition by a order by b rows between 3 preceding and current row) from t",
        );
        check("select a, b, c, count(*) from t group by cube(a, b, c, d, e, f)");
        let arms = many(500, " ", |n| format!("when a = {n} then 'text {n}'"));
        check(&format!("select case {arms} else '' end from t"));
        let windows = many(100, ", ", |n| format!("sum(a{n}) over (partition by b order by c)"));
        check(&format!("select {windows} from t"));
        let subs = many(50, " and ", |n| format!("a{n} in (select b from u)"));
        check(&format!("select * from t where {subs}"));
        check(&format!("select '{}'", "x".repeat(60_000)));
        check("select case when a = 1 then 2 when a = 2 then 3 else 4 end, t.* from t join u on t.a = u.a");

        #[track_caller]
        fn check(text: &str) {
            if let Err(error) = statement::parse(text) {
                panic!("{}…: {error}", &text[..text.len().min(60)]);
            }
        }
    }

    #[test]
    fn what_planning_cannot_bear_is_refused() {
        let doubling = many(24, ", ", |n| match n {
            0 => "c0 as (select 1 as x)".to_owned(),
            n => format!("c{n} as (select a.x from c{0} a, c{0} b)", n - 1),
        });
        check(&format!("with {doubling} select * from c23"), "sub-queries once its common table expressions");
        let tables = doubling.replace("select 1 as x", "select x from t");
        check(&format!("with {tables} select * from c23"), "tables once its common table expressions");
        check(&format!("select {}", many(10_000, "+", |_| "1".to_owned())), "more than 256 terms");
        check(
            &format!("select * from t where {}", many(8_000, "or", |n| format!(" x={} ", n % 10))),
            "`x IN (…)`",
        );
        check(&format!("select {}", many(12_000, "||", |_| "'a'".to_owned())), "more than 256 terms");
        check(&many(3_000, " union all ", |_| "select 1".to_owned()), "2999 set operations");
        check("select count(*) from t group by cube(a,b,c,d,e,f,g)", "128 groupings");
        check(
            "select count(*) from t group by rollup(a,b,c,d,e,f,g), rollup(h,i,j,k,l,m,n,o)",
            "72 groupings",
        );
        check(
            &format!("select count(*) from t group by cube({})", many(20, ",", |n| format!("c{n}"))),
            "more than a million groupings",
        );
        check(&format!("select {}", many(20_000, ",", |_| "1".to_owned())), "20000 columns");
        check(&format!("select {}1{}", "(".repeat(20_000), ")".repeat(20_000)), "50 levels");
        check(&format!("select * from t where x in ({})", many(6_000, ",", |n| format!("{n}+1"))), "parts");
        let windows = many(300, ", ", |n| format!("sum(a) over (order by a{n})"));
        check(&format!("select {windows} from t"), "257 window functions");
        check(&format!("select {} from t", many(300, ", ", |_| "(select 1)".to_owned())), "sub-queries");
        let list = many(10_000, ",", |n| n.to_string());
        let listed = doubling.replace("select 1 as x", &format!("select 1 as x where 1 in ({list})"));
        check(&format!("with {listed} select * from c23"), "bytes of names and literals");
        let long = doubling.replace("select 1 as x", &format!("select '{}' as x", "x".repeat(50_000)));
        check(&format!("with {long} select * from c23"), "bytes of names and literals");
        check(&format!("select 1 as {}", "x".repeat(2_000)), "a name has 2000 bytes");
        check(&format!("select {} from t", "x".repeat(2_000)), "a name has 2000 bytes");
        check(&format!("select 1 from t as {}", "x".repeat(2_000)), "a name has 2000 bytes");
        check(&format!("with {} as (select 1) select 1", "x".repeat(2_000)), "a name has 2000 bytes");
        check(&format!("values {}", many(12_000, ",", |_| "(1)".to_owned())), "parts");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = statement::parse(text).expect_err(&text[..text.len().min(60)]);
            assert_eq!(error.code(), crate::error::Code::OverLimit, "{error}");
            assert!(error.to_string().contains(expected), "{error} does not say `{expected}`");
        }
    }
}

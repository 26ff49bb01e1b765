//! Planning a statement with its parameters: each `$name` becomes a literal of the plan.
//!
//! The names are numbered in the syntax tree, the planner is told the type of each number, and the plan it makes
//! gets the values as literals. So the planner knows all types while it plans, and no value is ever read as SQL:
//! whatever it holds, the plan has the same shape.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::ExplainOption;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Statement as PlanStatement};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    self, Ident, Select, SelectItem, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use serde_json::json;

use super::classify::classify;
use super::named_casts;
use super::parameter::{Literal, Parameter, Parameters};
use crate::error::{Error, Place, Result};
use crate::limits;

/// What a name in a statement begins with.
const SIGN: char = '$';

/// Whether `parameters` has exactly the names that the statement asks for.
///
/// # Errors
/// `Invalid`, which lists the names that are missing and those that nothing asks for; `InvalidSql` for a place
/// holder that is no `$name`.
pub(super) fn check(parsed: &Parsed, parameters: &Parameters) -> Result<()> {
    if parameters.len() > limits::PARAMETERS_MAX {
        return Err(Error::OverLimit(format!(
            "there are {} parameters; at most {} are accepted",
            parameters.len(),
            limits::PARAMETERS_MAX
        )));
    }
    let mut names = Names::default();
    if let Some(statement) = statement(parsed)
        && let ControlFlow::Break(error) = Visit::visit(statement, &mut names)
    {
        return Err(error);
    }
    let missing: Vec<&str> =
        names.0.iter().map(String::as_str).filter(|name| !parameters.contains_key(*name)).collect();
    let unused: Vec<&str> =
        parameters.keys().map(String::as_str).filter(|name| !names.0.contains(*name)).collect();
    let mut wrong = Vec::new();
    if !missing.is_empty() {
        wrong.push(format!("the statement asks for {}, which `parameters` does not hold", listed(&missing)));
    }
    if !unused.is_empty() {
        wrong.push(format!("`parameters` holds {}, which the statement does not ask for", listed(&unused)));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let details = json!({ "field": "parameters", "missing": missing, "unused": unused });
    Err(Error::Invalid { message: wrong.join("; "), details })
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`${name}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn statement(parsed: &Parsed) -> Option<&ast::Statement> {
    match parsed {
        Parsed::Statement(statement) => Some(statement),
        Parsed::Explain(explain) => statement(&explain.statement),
        _ => None,
    }
}

/// Plans a statement, whose place holders [`check`] has found to be those of `parameters`.
///
/// # Errors
/// What is wrong with the statement.
pub(super) async fn plan(
    state: &SessionState,
    parsed: Parsed,
    parameters: &Parameters,
) -> Result<LogicalPlan> {
    if parameters.is_empty() {
        return named_casts::plan(state, parsed).await.map_err(classify);
    }
    match parsed {
        Parsed::Statement(statement) => query(state, *statement, parameters).await,
        Parsed::Explain(explain) => {
            let Parsed::Statement(statement) = *explain.statement else {
                return Err(Error::NotSupported("`EXPLAIN` takes a query".to_owned()));
            };
            let format =
                explain.options.format.unwrap_or_else(|| state.config_options().explain.format.clone());
            let option = ExplainOption::default().with_verbose(explain.options.verbose).with_format(format);
            let plan = query(state, *statement, parameters).await?;
            LogicalPlanBuilder::from(plan)
                .explain_option_format(option)
                .and_then(LogicalPlanBuilder::build)
                .map_err(classify)
        }
        other => named_casts::plan(state, other).await.map_err(classify),
    }
}

async fn query(
    state: &SessionState,
    mut statement: ast::Statement,
    parameters: &Parameters,
) -> Result<LogicalPlan> {
    // Those without a type come last: the planner finds no type for their numbers.
    let (typed, untyped): (Vec<_>, Vec<_>) =
        parameters.iter().partition(|(_, parameter)| parameter.sql().is_some());
    let numbered: Vec<(&str, &Parameter)> =
        typed.iter().chain(&untyped).map(|(name, parameter)| (name.as_str(), *parameter)).collect();
    // Nothing in there breaks off.
    let _ = VisitMut::visit(&mut statement, &mut Number(&numbered));
    let data_types: Vec<_> = typed.iter().filter_map(|(_, parameter)| parameter.sql()).collect();
    if !data_types.is_empty() {
        let (name, inner) = (Ident::new("query"), Box::new(statement));
        statement = ast::Statement::Prepare { name, data_types, statement: inner };
    }
    let plan = named_casts::plan(state, Parsed::Statement(Box::new(statement))).await.map_err(classify)?;
    let plan = match plan {
        LogicalPlan::Statement(PlanStatement::Prepare(prepared)) => Arc::unwrap_or_clone(prepared.input),
        other => other,
    };
    let time_zone = state.config_options().execution.time_zone.clone().unwrap_or_default();
    let literals = numbered.iter().map(|(_, parameter)| parameter.literal(&time_zone));
    let literals = literals.collect::<Result<Vec<_>>>()?;
    let values: Vec<ScalarValue> = literals.iter().map(|literal| literal.value.clone()).collect();
    write_lists_out(plan, &literals)
        .and_then(|plan| plan.replace_params_with_values(&ParamValues::from(values)))
        .map_err(classify)
}

/// `x IN ($ids)` with a list is `x IN (1, 2, 3)`.
fn write_lists_out(plan: LogicalPlan, literals: &[Literal]) -> PlanResult<LogicalPlan> {
    if literals.iter().all(|literal| literal.items.is_none()) {
        return Ok(plan);
    }
    let written = plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| match expr {
                Expr::InList(InList { expr, list, negated }) => {
                    let list = list.into_iter().flat_map(|item| match items(&item, literals) {
                        Some(items) => items.iter().map(|item| Expr::Literal(item.clone(), None)).collect(),
                        None => vec![item],
                    });
                    Ok(Transformed::yes(Expr::InList(InList::new(expr, list.collect(), negated))))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(if expr.transformed { expr.update_data(|expr| name.restore(expr)) } else { expr })
        })
    })?;
    Ok(written.data)
}

/// The elements of the list that a place holder stands for.
fn items<'a>(expr: &Expr, literals: &'a [Literal]) -> Option<&'a [ScalarValue]> {
    let Expr::Placeholder(holder) = expr else { return None };
    let number: usize = holder.id.strip_prefix(SIGN)?.parse().ok()?;
    literals.get(number.checked_sub(1)?)?.items.as_deref()
}

/// Collects the names that a statement asks for.
#[derive(Debug, Default)]
struct Names(BTreeSet<String>);

impl Visitor for Names {
    type Break = Error;

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<Error> {
        let Value::Placeholder(holder) = &value.value else { return ControlFlow::Continue(()) };
        match holder.strip_prefix(SIGN) {
            Some(name) if !name.is_empty() => {
                self.0.insert(name.to_owned());
                ControlFlow::Continue(())
            }
            _ => {
                let start = value.span.start;
                let place = (start.line > 0).then_some(Place { line: start.line, column: start.column });
                let message = format!("`{holder}` names no parameter: write `$name`");
                ControlFlow::Break(Error::InvalidSql { message, place })
            }
        }
    }
}

/// Puts numbers in the place of names.
struct Number<'a>(&'a [(&'a str, &'a Parameter)]);

impl VisitorMut for Number<'_> {
    type Break = ();

    /// A column of the result keeps the name that its writer saw.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item {
                let mut names = Names::default();
                let _ = Visit::visit(&*expr, &mut names);
                if !names.0.is_empty() {
                    let alias = Ident::with_quote('"', expr.to_string());
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(holder) = &mut value.value {
            let at = self.0.iter().position(|(name, _)| holder.strip_prefix(SIGN) == Some(name));
            if let Some(at) = at {
                *holder = format!("{SIGN}{}", at + 1);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;
    use proptest::prelude::*;
    use tokio::runtime::Runtime;

    use super::super::QuerySpec;
    use super::super::parameter::ParameterType;
    use super::super::testing::{self, Fixture, text};
    use super::*;

    fn spec(fixture: &Fixture, statement: &str, parameters: Parameters) -> QuerySpec {
        QuerySpec { parameters, ..testing::spec(fixture, statement) }
    }

    /// One value of a type; `null` for NULL; several separated by commas in brackets.
    fn parameters(given: &[(&str, &str, &str)]) -> Parameters {
        let each = given.iter().map(|(name, data_type, value)| {
            let known: Option<ParameterType> = data_type.parse().ok();
            let parameter = match (known, value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'))) {
                (_, Some(inner)) => {
                    let items = inner.split(',').filter(|item| !item.is_empty());
                    let items: Vec<_> = items.map(|item| (item != "null").then_some(item)).collect();
                    Parameter::many(name, known, &items).unwrap()
                }
                (Some(known), None) => {
                    Parameter::one(name, known, (*value != "null").then_some(*value)).unwrap()
                }
                (None, None) => Parameter::null(),
            };
            ((*name).to_owned(), parameter)
        });
        each.collect()
    }

    async fn answer(fixture: &Fixture, statement: &str, parameters: Parameters) -> Result<Vec<String>> {
        text(fixture.engine.run(spec(fixture, statement, parameters)).await?).await
    }

    #[tokio::test]
    async fn values_stand_wherever_a_value_can() {
        let fixture = Fixture::new().await;
        let by_id = "select id from trips where id = $id";
        check(&fixture, by_id, &[("id", "int64", "3")], &["3"]).await;
        check(&fixture, by_id, &[("id", "string", "3")], &["3"]).await;
        check(&fixture, by_id, &[("id", "int64", "null")], &[]).await;
        check(&fixture, by_id, &[("id", "", "null")], &[]).await;
        let since = "select count(*) from trips where day >= $from and day < $to";
        let days = [("from", "date", "2024-01-03"), ("to", "date", "2024-01-05")];
        check(&fixture, since, &days, &["2"]).await;
        let days = [("from", "string", "2024-01-03"), ("to", "datetime", "2024-01-05 00:00:00")];
        check(&fixture, since, &days, &["2"]).await;
        let city = "select count(*) from trips where city = $city";
        check(&fixture, city, &[("city", "string", "東京")], &["2"]).await;
        check(&fixture, city, &[("city", "string", "' or 1=1 --")], &["0"]).await;
        let listed = "select count(*) from trips where id in ($ids)";
        check(&fixture, listed, &[("ids", "int64", "[1,2,30]")], &["2"]).await;
        check(&fixture, listed, &[("ids", "int64", "[]")], &["0"]).await;
        check(&fixture, listed, &[("ids", "", "[]")], &["0"]).await;
        check(&fixture, listed, &[("ids", "int64", "2")], &["1"]).await;
        let not_listed = "select count(*) from trips where id not in (0, $ids, 9)";
        check(&fixture, not_listed, &[("ids", "int64", "[1,2]")], &["6"]).await;
        let any = "select count(*) from trips where city = any($cities)";
        check(&fixture, any, &[("cities", "string", "[東京,Lima]")], &["4"]).await;
        check(&fixture, any, &[("cities", "string", "[]")], &["0"]).await;
        let counted = "select sum(case when id in ($ids) then 1 else 0 end) from trips";
        check(&fixture, counted, &[("ids", "int64", "[1,2]")], &["2"]).await;
        check(&fixture, "select id from trips order by id limit $n", &[("n", "int64", "2")], &["0", "1"])
            .await;
        let deep =
            "with t as (select id + $n as x from trips) select max(x) from t where x in (select $m + 1)";
        check(&fixture, deep, &[("n", "int64", "1"), ("m", "int64", "9")], &["10"]).await;
        check(&fixture, "select $1 || $a", &[("1", "string", "x"), ("a", "string", "y")], &["xy"]).await;
        check(&fixture, "select $d + 1", &[("d", "decimal(10,2)", "1.10")], &["2.10"]).await;
        check(
            &fixture,
            "select $t, $u",
            &[("t", "datetime", "2024-01-31T09:00:00"), ("u", "datetime_utc", "2024-01-31T00:00:00Z")],
            &["2024-01-31T09:00:00|2024-01-31T09:00:00+09:00"],
        )
        .await;
        check(
            &fixture,
            "select date_trunc('month', $t), upper($s)",
            &[("t", "date", "2024-01-31"), ("s", "string", "é")],
            &["2024-01-01T00:00:00|É"],
        )
        .await;

        async fn check(fixture: &Fixture, statement: &str, given: &[(&str, &str, &str)], expected: &[&str]) {
            let got = answer(fixture, statement, parameters(given)).await;
            assert_eq!(got.unwrap_or_else(|error| panic!("{statement}: {error}")), expected, "{statement}");
        }
    }

    #[tokio::test]
    async fn columns_keep_the_names_that_were_written() {
        let fixture = Fixture::new().await;
        let statement = "select id * $n, $n, $n as m, city from trips";
        let spec = spec(&fixture, statement, parameters(&[("n", "int64", "2")]));
        let stream = fixture.engine.run(spec).await.unwrap();
        let names: Vec<_> = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id * $n", "$n", "m", "city"]);
    }

    #[tokio::test]
    async fn what_is_missing_and_what_is_too_much_is_listed() {
        let fixture = Fixture::new().await;
        check(
            &fixture,
            "select $b, $a, $c",
            &[("c", "int64", "1")],
            "the statement asks for `$a`, `$b`, which `parameters` does not hold",
        )
        .await;
        check(
            &fixture,
            "select 1",
            &[("c", "int64", "1")],
            "`parameters` holds `$c`, which the statement does not ask for",
        )
        .await;
        check(
            &fixture,
            "select $A",
            &[("a", "int64", "1")],
            "the statement asks for `$A`, which `parameters` does not hold; `parameters` holds `$a`, which the \
             statement does not ask for",
        )
        .await;
        check(&fixture, "select $a", &[], "the statement asks for `$a`, which `parameters` does not hold")
            .await;
        check(&fixture, "select ?", &[], "`?` names no parameter: write `$name`").await;
        check(&fixture, "select :a", &[("a", "int64", "1")], "`:a` names no parameter: write `$name`").await;

        async fn check(fixture: &Fixture, statement: &str, given: &[(&str, &str, &str)], expected: &str) {
            let error = answer(fixture, statement, parameters(given)).await.unwrap_err();
            assert_eq!(error.to_string(), expected, "{statement}");
        }
    }

    #[tokio::test]
    async fn a_plan_can_be_explained_with_its_values() {
        let fixture = Fixture::new().await;
        let lines = answer(
            &fixture,
            "explain select id from trips where id = $id",
            parameters(&[("id", "int64", "7")]),
        );
        assert!(lines.await.unwrap().concat().contains("Int64(7)"));
    }

    /// The plan of `statement` with `value` for `$v`, in which every text that is the value is replaced.
    fn shape(runtime: &Runtime, fixture: &Fixture, statement: &str, value: &str) -> String {
        let one = Parameter::one("v", ParameterType::String, Some(value)).unwrap();
        let list = Parameter::many("w", Some(ParameterType::String), &[Some(value), Some("other")]).unwrap();
        let given = Parameters::from([("v".to_owned(), one), ("w".to_owned(), list)]);
        let (_, plan) = runtime.block_on(fixture.engine.plan(&spec(fixture, statement, given))).unwrap();
        let blank = plan.transform_up_with_subqueries(|plan| {
            plan.map_expressions(|expr| {
                expr.transform_up(|expr| match expr {
                    Expr::Literal(ScalarValue::Utf8View(Some(text)), metadata) if text == value => {
                        let blank = ScalarValue::Utf8View(Some("v".to_owned()));
                        Ok(Transformed::yes(Expr::Literal(blank, metadata)))
                    }
                    Expr::Literal(ScalarValue::List(list), metadata) => {
                        let blank =
                            ScalarValue::Utf8View(Some(format!("a list of {}", list.value_length(0))));
                        Ok(Transformed::yes(Expr::Literal(blank, metadata)))
                    }
                    other => Ok(Transformed::no(other)),
                })
            })
        });
        blank.unwrap().data.display_indent_schema().to_string()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Quotes of all kinds, letters that look like quotes, comments, other names: a value is only a value.
        #[test]
        fn no_value_changes_the_shape_of_a_plan(
            value in prop::collection::vec(
                prop::sample::select(vec![
                    "'", "''", "\"", "`", "\\", "\\'", "\u{2019}", "\u{ff07}", "\u{2032}", "\u{0}", "\n", ";", "--",
                    "/*", "*/", "$v", "$w", "$$", "${", "{{", ")", "(", " or 1=1", " union select 1", "%27", "\u{202e}",
                    "а", "Ａ", "売", "é", "x",
                ]),
                0..12,
            ).prop_map(|parts| parts.concat())
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let fixture = runtime.block_on(Fixture::new());
            for statement in [
                "select id, $v from trips where city = $v and city in ($w, 'x') order by city limit 3",
                "select city, count(*) from trips where city like $v or city = any($w) group by city having max(city) > $v",
                "with t as (select concat(city, $v) as c from trips) select * from t where c in (select $v) and c in ($w)",
            ] {
                prop_assert_eq!(
                    shape(&runtime, &fixture, statement, &value),
                    shape(&runtime, &fixture, statement, "plain"),
                );
            }
        }
    }

    #[test]
    fn a_name_is_one_word_in_the_statement() {
        // The tokenizer, not we, says where a name ends; a dollar right after it would begin a quoted text.
        let words = |sql: &str| {
            let dialect = datafusion::sql::sqlparser::dialect::GenericDialect {};
            Tokenizer::new(&dialect, sql)
                .tokenize()
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(words("$a_1+$売上"), ["$a_1", "+", "$売上"]);
        assert_eq!(words("$a, $b"), ["$a", ",", " ", "$b"]);
    }
}

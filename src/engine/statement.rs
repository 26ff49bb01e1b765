//! Reading a statement before it is planned: that it is one, that it only reads, and which tables it
//! names, where.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{
    self, ObjectName, Query, Spanned as _, TableFactor, Visit as _, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::classify::classify;
use super::{deep, guard, system, unsound};
use crate::error::{Error, Place, Result};
use crate::limits;

/// How deep expressions and sub-queries may nest.
pub(super) const DEPTH_MAX: usize = 50;

/// One read-only statement and the tables it names.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) parsed: Parsed,
    /// Each name once, in the order of first use.
    pub(super) tables: Vec<TableName>,
}

/// A table's name as the planner will look it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) name: String,
    pub(super) place: Option<Place>,
    /// It is one of the service's own.
    pub(super) system: bool,
}

/// Parses `text`.
///
/// # Errors
/// `OverLimit` for a text that is too long, names too many tables or would cost too much to plan,
/// `InvalidSql` for one that is no statement or several, `NotSupported` for a statement that is not a query.
pub(super) fn parse(text: &str) -> Result<Statement> {
    check_length(text)?;
    // Walking and dropping a tree recurses; a chain of thirty thousand terms is a tree that deep.
    deep::on_stack_for(text, || parse_deep(text))
}

/// Refuses a text that is too long.
pub(super) fn check_length(text: &str) -> Result<()> {
    if text.len() <= limits::STATEMENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::OverLimit(format!(
        "the statement has {} bytes; at most {} are accepted",
        text.len(),
        limits::STATEMENT_BYTES_MAX
    )))
}

/// All of `text` as what `parse` reads: a part of a statement.
///
/// # Errors
/// `InvalidSql` for what is none, or goes on after it.
pub(super) fn read<T>(
    text: &str,
    parse: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    let dialect = GenericDialect {};
    let refused = |error| classify(DataFusionError::SQL(Box::new(error), None));
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).try_with_sql(text).map_err(refused)?;
    let read = parse(&mut parser).map_err(refused)?;
    match parser.next_token() {
        end if end.token == Token::EOF => Ok(read),
        more => Err(Error::InvalidSql {
            message: format!("expected one expression that ends here, found: {}", more.token),
            place: Some(Place { line: more.span.start.line, column: more.span.start.column }),
        }),
    }
}

fn parse_deep(text: &str) -> Result<Statement> {
    let mut statements = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| placed(classify(error), text))?;
    let count = statements.len();
    let (1, Some(parsed)) = (count, statements.pop_front()) else {
        return Err(Error::InvalidSql {
            message: format!("expected one statement, got {count}"),
            place: None,
        });
    };
    guarded(parsed)
}

/// A statement that was parsed, if it only reads and can be planned. To be called with a deep stack.
///
/// # Errors
/// As [`parse`].
pub(super) fn guarded(mut parsed: Parsed) -> Result<Statement> {
    let query = query(&parsed)?;
    let tables = tables(query)?;
    guard::check(query)?;
    if unsound::check(query)? {
        unsound::apart(&mut parsed)?;
    }
    Ok(Statement { parsed, tables })
}

/// The parser tells where it met a wrong word, but not where it missed one: that is at the end of `text`.
fn placed(error: Error, text: &str) -> Error {
    match error {
        Error::InvalidSql { message, place: None } if message.ends_with("found: EOF") => {
            let text = text.trim_end();
            let last = text.rsplit('\n').next().unwrap_or_default();
            let (line, column) = (text.matches('\n').count() + 1, last.chars().count() + 1);
            let message = format!("{}the end of the statement", message.trim_end_matches("EOF"));
            Error::InvalidSql { message, place: Some(Place { line: line as u64, column: column as u64 }) }
        }
        other => other,
    }
}

/// The query inside a statement that only reads.
pub(super) fn query(statement: &Parsed) -> Result<&Query> {
    let refused = |what: &str| {
        Err(Error::NotSupported(format!(
            "`{what}` is not accepted here: expected one `SELECT`, `WITH`, `VALUES` or `EXPLAIN` that only reads"
        )))
    };
    match statement {
        Parsed::Statement(statement) => match statement.as_ref() {
            ast::Statement::Query(query) => Ok(query),
            other => refused(&first_word(&other.to_string())),
        },
        Parsed::Explain(explain) if explain.options.analyze => refused("EXPLAIN ANALYZE"),
        Parsed::Explain(explain) => match explain.statement.as_ref() {
            Parsed::Statement(inner) => match inner.as_ref() {
                ast::Statement::Query(query) => Ok(query),
                other => refused(&format!("EXPLAIN {}", first_word(&other.to_string()))),
            },
            _ => refused("EXPLAIN"),
        },
        Parsed::CreateExternalTable(_) => refused("CREATE EXTERNAL TABLE"),
        Parsed::CopyTo(_) => refused("COPY"),
        Parsed::Reset(_) => refused("RESET"),
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_uppercase()
}

/// The tables that `query` names, without its common table expressions and table functions.
fn tables(query: &Query) -> Result<Vec<TableName>> {
    let mut names = Names::default();
    if let ControlFlow::Break(error) = query.visit(&mut names) {
        return Err(error);
    }
    if names.references > limits::TABLES_PER_STATEMENT_MAX {
        return Err(Error::OverLimit(format!(
            "the statement names {} tables; at most {} are accepted",
            names.references,
            limits::TABLES_PER_STATEMENT_MAX
        )));
    }
    Ok(names.tables)
}

/// Walks a query and remembers the tables it names.
#[derive(Debug, Default)]
struct Names {
    tables: Vec<TableName>,
    references: usize,
    /// Names of common table expressions that hide a table here, innermost last.
    hidden: Vec<String>,
    /// The next relation is the name of a function, as in `from range(1, 5)`.
    function: bool,
}

impl Names {
    fn table(&self, name: &ObjectName) -> Result<TableName> {
        let span = name.span();
        let place =
            (span.start.line > 0).then_some(Place { line: span.start.line, column: span.start.column });
        match object_name_to_table_reference(name.clone(), true).map_err(classify)? {
            TableReference::Bare { table } => Ok(TableName { name: table.to_string(), place, system: false }),
            TableReference::Partial { schema, table } if schema.as_ref() == system::SCHEMA => {
                Ok(TableName { name: table.to_string(), place, system: true })
            }
            TableReference::Partial { .. } | TableReference::Full { .. } => Err(Error::InvalidSql {
                message: format!(
                    "`{name}` has dots: datasets have no schema or catalog in front, and only the tables of `system` have; put a name that holds dots in double quotes"
                ),
                place,
            }),
        }
    }
}

impl Visitor for Names {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            // A name is not in scope in its own definition unless it is recursive, and may well name a
            // table there. The definition is visited again with the query; that finds nothing new.
            if query.with.as_ref().is_some_and(|with| !with.recursive) {
                let counted = self.references;
                cte.query.visit(self)?;
                self.references = counted;
            }
            match self.table(&ObjectName::from(vec![cte.alias.name.clone()])) {
                Ok(name) => self.hidden.push(name.name),
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let count = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.hidden.truncate(self.hidden.len().saturating_sub(count));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        self.function =
            matches!(factor, TableFactor::Table { args: Some(_), .. } | TableFactor::Function { .. });
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        if std::mem::take(&mut self.function) {
            return ControlFlow::Continue(());
        }
        match self.table(name) {
            Ok(found) if !found.system && self.hidden.contains(&found.name) => {}
            Ok(found) => {
                self.references += 1;
                let known = |table: &TableName| (&table.name, table.system) == (&found.name, found.system);
                if !self.tables.iter().any(known) {
                    self.tables.push(found);
                }
            }
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tables_a_statement_names() {
        check("select 1", &[]);
        check("select * from Flights", &["flights"]);
        check(r#"select * from "Flights""#, &["Flights"]);
        check("select * from 売上", &["売上"]);
        check(r#"select * from "売上 2024""#, &["売上 2024"]);
        check(r#"select * from "a.b""#, &["a.b"]);
        check("select * from a join b using (x), c", &["a", "b", "c"]);
        check("select * from a as t where t.x in (select y from b)", &["a", "b"]);
        check("select (select max(x) from b) from a", &["a", "b"]);
        check("with t as (select * from a) select * from t", &["a"]);
        check("with t as (select * from t) select * from t", &["t"]);
        check("with a as (select 1), b as (select * from a) select * from b", &[]);
        check("select * from (with t as (select * from a) select * from t), t", &["a", "t"]);
        check("with recursive t as (select 1 as n union all select n + 1 from t) select * from t", &[]);
        check("select * from range(1, 5), a", &["a"]);
        check("select * from a where exists (select 1 from a)", &["a"]);
        check("explain select * from a", &["a"]);
        check("values (1), (2)", &[]);

        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let statement = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let mut names: Vec<_> = statement.tables.iter().map(|table| table.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{text}");
        }
    }

    #[test]
    fn a_name_knows_its_place() {
        let statement = parse("select *\nfrom a,\n     \"b c\"").unwrap();
        let places: Vec<_> = statement.tables.iter().map(|t| t.place.map(|p| (p.line, p.column))).collect();
        assert_eq!(places, [Some((2, 6)), Some((3, 6))]);
    }

    #[test]
    fn what_is_missing_at_the_end_has_a_place() {
        check("select", 1, 7);
        check("select 1 +", 1, 11);
        check("select *\nfrom  ", 2, 5);
        check("select 1 where 売上 =\n\n", 1, 20);
        check("select (1", 1, 10);
        check("select 'a", 1, 8);

        #[track_caller]
        fn check(text: &str, line: u64, column: u64) {
            match parse(text) {
                Err(Error::InvalidSql { place: Some(place), .. }) => {
                    assert_eq!((place.line, place.column), (line, column), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_one_reading_statement_passes() {
        let many = vec!["a"; 65].join(", ");
        check("", "expected one statement, got 0");
        check("select 1; select 2", "expected one statement, got 2");
        check("select 1; drop table a", "expected one statement, got 2");
        check("drop table a", "`DROP` is not accepted");
        check("create table a as select 1", "`CREATE` is not accepted");
        check("create view a as select 1", "`CREATE` is not accepted");
        check("create external table a stored as csv location '/etc/passwd'", "`CREATE EXTERNAL TABLE`");
        check("copy (select 1) to '/tmp/x.csv'", "`COPY` is not accepted");
        check("insert into a values (1)", "`INSERT` is not accepted");
        check("update a set x = 1", "`UPDATE` is not accepted");
        check("delete from a", "`DELETE` is not accepted");
        check("set datafusion.execution.batch_size = 1", "`SET` is not accepted");
        check("reset datafusion.execution.batch_size", "`RESET` is not accepted");
        check("show all", "`SHOW` is not accepted");
        check("show tables", "`SHOW` is not accepted");
        check("describe a", "is not accepted");
        check("prepare p as select 1", "`PREPARE` is not accepted");
        check("execute p", "`EXECUTE` is not accepted");
        check("explain analyze select 1", "`EXPLAIN ANALYZE` is not accepted");
        check("explain copy (select 1) to '/tmp/x.csv'", "`EXPLAIN` is not accepted");
        check("explain insert into a values (1)", "`EXPLAIN INSERT` is not accepted");
        check("explain explain select 1", "is not accepted");
        check("select * from information_schema.tables", "has dots");
        check("select * from shirabe.datasets.a", "has dots");
        check(&format!("select * from {many}"), "names 65 tables; at most 64");
        check(&format!("select '{}'", "x".repeat(70_000)), "has 70009 bytes; at most 65536");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

//! What a result is kept under: digests that are equal only when the results are.
//!
//! Two levels. A statement key is the text itself, with the versions it reads and all that planning
//! looks at; it is exact because planning is a function of these. It leads to the plan, and the plan's own
//! key is what results are kept under, so that two spellings of one question share them.
//!
//! A plan's key is made from its `Hash`, written into BLAKE3 instead of a short hash. That alone says
//! too little: `Hash` only promises that equal plans agree, and DataFusion leaves out which table is
//! scanned and of which type and zone a literal is. Those are added here, and a plan with a part about
//! which nothing is known is kept under its statement key instead.

use std::hash::{Hash, Hasher};

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFunctionDefinition};

use crate::catalog::manifest::Manifest;
use crate::engine::spec::{Limits, QuerySpec, TableRows};
use crate::engine::table::DatasetTable;

/// Answers of another version of the program may differ.
const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// What a plan is kept under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::engine) struct StatementKey(Digest);

/// What all results of a plan have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::engine) struct PlanKey(Digest);

/// What one encoded result is kept under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::engine) struct ResultKey(Digest);

/// Holds within this process only: digests of types and numbers are in the machine's own form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Digest([u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Takes what is hashed as it is. Small pieces are gathered, because BLAKE3 is made for large ones.
#[derive(Default)]
struct Written(Vec<u8>);

impl Written {
    /// `kind` keeps keys of different levels apart.
    fn of(kind: &'static str) -> Self {
        let mut written = Self::default();
        kind.hash(&mut written);
        ENGINE.hash(&mut written);
        written
    }

    fn digest(&self) -> Digest {
        Digest(blake3::hash(&self.0).into())
    }
}

impl Hasher for Written {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        let Digest([a, b, c, d, e, f, g, h, ..]) = self.digest();
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }
}

impl StatementKey {
    /// All of `spec` that decides which plan its statement has. None when it reads more than versions.
    pub(in crate::engine) fn of(spec: &QuerySpec) -> Option<Self> {
        // Named one by one, so that whoever adds a field decides where it belongs.
        let QuerySpec {
            query_id: _,
            user_id: _,
            kind: _,
            statement,
            parameters,
            tables,
            limits,
            time_zone,
            now: _,
            // Such rows are not kept, and the plan before it is made of operators is the same.
            in_order: _,
        } = spec;
        let Limits { rows, result_bytes: _, scan_bytes: _, deadline_ms: _ } = limits;
        let mut written = Written::of("statement");
        statement.hash(&mut written);
        parameters.hash(&mut written);
        rows.hash(&mut written);
        time_zone.hash(&mut written);
        tables.len().hash(&mut written);
        for table in tables {
            table.name.hash(&mut written);
            match &table.rows {
                TableRows::Version(manifest) => version(manifest, &mut written),
                TableRows::Queries(_) => return None,
            }
        }
        Some(Self(written.digest()))
    }
}

impl PlanKey {
    /// The key of a plan that is not there to be looked at.
    pub(in crate::engine) fn of_statement(statement: StatementKey) -> Self {
        Self(statement.0)
    }

    /// The key of `plan`, which is optimised and holds nothing that changes from run to run.
    pub(in crate::engine) fn of(plan: &LogicalPlan, spec: &QuerySpec, statement: StatementKey) -> Self {
        let mut written = Written::of("plan");
        spec.time_zone.hash(&mut written);
        plan.hash(&mut written);
        plan.schema().as_arrow().hash(&mut written);
        match beyond_hash(plan, &mut written) {
            Ok(true) => Self(written.digest()),
            Ok(false) | Err(_) => Self::of_statement(statement),
        }
    }

    /// The key of this plan's result, up to the rows of `limits`, in the form that `form` stands for.
    #[must_use]
    pub(in crate::engine) fn result(self, limits: &Limits, form: &impl Hash) -> ResultKey {
        let Limits { rows, result_bytes, scan_bytes, deadline_ms: _ } = limits;
        let mut written = Written::of("result");
        self.hash(&mut written);
        rows.hash(&mut written);
        // Who may have less is refused a result that others get.
        result_bytes.hash(&mut written);
        scan_bytes.hash(&mut written);
        form.hash(&mut written);
        ResultKey(written.digest())
    }
}

/// A version. Its label is part of its objects' names, and no name is given twice.
fn version(manifest: &Manifest, to: &mut Written) {
    manifest.dataset_id.as_str().hash(to);
    manifest.number.hash(to);
    manifest.label.hash(to);
    manifest.commit_id.as_str().hash(to);
}

/// Adds what the `Hash` of `plan` leaves out, and says whether that is all of it.
fn beyond_hash(plan: &LogicalPlan, to: &mut Written) -> PlanResult<bool> {
    let mut known = true;
    plan.apply_with_subqueries(|node| {
        known &= node_beyond_hash(node, to)?;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                known &= expr_beyond_hash(expr, to);
                Ok(go_on(known))
            })
        })
    })?;
    Ok(known)
}

/// Nobody needs the rest once a part is not known.
fn go_on(known: bool) -> TreeNodeRecursion {
    if known { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop }
}

fn node_beyond_hash(node: &LogicalPlan, to: &mut Written) -> PlanResult<bool> {
    Ok(match node {
        LogicalPlan::TableScan(scan) => {
            let table = source_as_provider(&scan.source)?;
            match table.downcast_ref::<DatasetTable>() {
                Some(table) => version(table.manifest(), to),
                None => return Ok(false),
            }
            true
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => true,
        _ => false,
    })
}

fn expr_beyond_hash(expr: &Expr, to: &mut Written) -> bool {
    match expr {
        Expr::Literal(value, metadata) => {
            let kind = value.data_type();
            kind.hash(to);
            metadata.hash(to);
            // Arrays are hashed to 64 bits, which somebody could make collide.
            !kind.is_nested()
        }
        Expr::Alias(alias) => {
            alias.metadata.hash(to);
            true
        }
        Expr::ScalarFunction(call) => {
            call.name().hash(to);
            true
        }
        Expr::AggregateFunction(call) => {
            call.func.name().hash(to);
            true
        }
        Expr::WindowFunction(call) => {
            match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => function.name().hash(to),
                WindowFunctionDefinition::WindowUDF(function) => function.name().hash(to),
            }
            true
        }
        Expr::Placeholder(_)
        | Expr::ScalarVariable(..)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => false,
        _ => true,
    }
}

#[cfg(test)]
impl ResultKey {
    /// One of its own for each number.
    pub(super) fn numbered(number: u64) -> Self {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_ne_bytes());
        Self(Digest(digest))
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::Parameters;
    use std::sync::Arc;

    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{LogicalPlanBuilder, lit};

    use super::*;
    use crate::catalog::record::QueryKind;
    use crate::clock::Timestamp;
    use crate::engine::cache::is_volatile;
    use crate::engine::spec::SpecTable;
    use crate::engine::testing::Fixture;
    use crate::ids::{QueryId, UserId};

    fn trips(manifest: Manifest) -> Vec<SpecTable> {
        vec![SpecTable { name: "trips".to_owned(), rows: TableRows::Version(Arc::new(manifest)) }]
    }

    fn spec(fixture: &Fixture, statement: &str) -> QuerySpec {
        QuerySpec {
            query_id: QueryId::random(),
            kind: QueryKind::Query,
            statement: statement.to_owned(),
            parameters: Parameters::new(),
            user_id: UserId::random(),
            tables: trips(fixture.manifest.clone()),
            limits: Limits { rows: None, result_bytes: None, scan_bytes: None, deadline_ms: 60_000 },
            time_zone: "UTC".to_owned(),
            now: Timestamp::from_seconds(1_714_521_600),
            in_order: false,
        }
    }

    async fn plan_key(fixture: &Fixture, spec: &QuerySpec) -> PlanKey {
        let (state, plan) = fixture.engine.plan(spec).await.unwrap();
        PlanKey::of(&state.optimize(&plan).unwrap(), spec, StatementKey::of(spec).unwrap())
    }

    async fn key(fixture: &Fixture, statement: &str) -> PlanKey {
        plan_key(fixture, &spec(fixture, statement)).await
    }

    #[tokio::test]
    async fn spellings_of_one_question_share_a_key() {
        let fixture = Fixture::new().await;
        check(&fixture, "select id from trips", "SELECT  id -- which\nFROM trips").await;
        check(&fixture, "select id from trips", "select trips.id from trips").await;
        check(&fixture, "select id from trips", "with t as (select 1) select id from trips").await;
        check(&fixture, "select id from trips where id > 3", "select id from trips where 1 + 2 < id").await;
        check(&fixture, "select count(*) from trips", "select count(*) from trips where true").await;

        async fn check(fixture: &Fixture, one: &str, other: &str) {
            assert_eq!(key(fixture, one).await, key(fixture, other).await, "{one} and {other}");
        }
    }

    #[tokio::test]
    async fn different_questions_have_different_keys() {
        let fixture = Fixture::new().await;
        let statements = [
            "select id from trips",
            "select id as number from trips",
            "select id, id as number from trips",
            "select id from trips limit 1",
            "select id from trips where id = 1",
            "select id from trips where id = 2",
            "select id from trips where city = '1'",
            "select id from trips where city = '2'",
            "select id from trips order by id",
            "select id from trips order by id desc",
            "select id from trips order by id nulls first",
            "select id from trips union all select id from trips",
            "select id from trips where id in (select max(id) from trips)",
            "select id from trips where id in (select min(id) from trips)",
            "select 1 as x",
            "select '1' as x",
            "select 1.0 as x",
            "select cast(1 as int) as x",
            "select cast(1 as decimal(3, 1)) as x",
            "select cast(1 as decimal(4, 1)) as x",
            "select null as x",
            "select cast(null as int) as x",
            "select timestamp '2024-01-01 00:00:00' as x",
            "select date '2024-01-01' as x",
            "select [1, 2] as x",
            "select [1, 3] as x",
            "select [cast(1 as int), 2] as x",
            "select sum(id) from trips",
            "select avg(id) from trips",
            "select sum(distinct id) from trips",
            "select sum(id) filter (where id > 1) from trips",
            "select sum(id) over (order by id) from trips",
            "select sum(id) over (order by id rows 1 preceding) from trips",
            "select row_number() over (order by id) from trips",
            "select rank() over (order by id) from trips",
        ];
        let mut keys = std::collections::HashMap::new();
        for statement in statements {
            if let Some(other) = keys.insert(key(&fixture, statement).await, statement) {
                panic!("{statement} and {other}");
            }
        }
    }

    #[tokio::test]
    async fn a_literal_is_its_type_as_well() {
        let fixture = Fixture::new().await;
        let zone = |name: &str| Some(Arc::from(name));
        let values = [
            ScalarValue::Int32(Some(1)),
            ScalarValue::Int64(Some(1)),
            ScalarValue::UInt64(Some(1)),
            ScalarValue::Utf8(Some("1".to_owned())),
            ScalarValue::Utf8View(Some("1".to_owned())),
            ScalarValue::Float64(Some(0.0)),
            ScalarValue::Float64(Some(-0.0)),
            ScalarValue::Decimal128(Some(1), 3, 1),
            ScalarValue::Decimal128(Some(1), 3, 2),
            ScalarValue::TimestampSecond(Some(1), None),
            ScalarValue::TimestampSecond(Some(1), zone("UTC")),
            ScalarValue::TimestampSecond(Some(1), zone("Asia/Tokyo")),
            ScalarValue::Int64(None),
            ScalarValue::Null,
        ];
        let spec = spec(&fixture, "select 1");
        let mut keys = std::collections::HashMap::new();
        for value in values {
            // In a filter, so that its type is not that of a column.
            let plan = LogicalPlanBuilder::empty(true).filter(lit(value.clone()).is_not_null());
            let plan = plan.and_then(LogicalPlanBuilder::build).unwrap();
            let key = PlanKey::of(&plan, &spec, StatementKey::of(&spec).unwrap());
            if let Some(other) = keys.insert(key, value.clone()) {
                panic!("{value:?} and {other:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_version_a_zone_and_a_limit_are_part_of_it() {
        let fixture = Fixture::new().await;
        let one = spec(&fixture, "select id from trips");
        let mut manifest = fixture.manifest.clone();
        manifest.label = "000002-00000000".to_owned();
        let newer = QuerySpec { tables: trips(manifest), ..one.clone() };
        let elsewhere = QuerySpec { time_zone: "Asia/Tokyo".to_owned(), ..one.clone() };
        let later = QuerySpec {
            query_id: QueryId::random(),
            user_id: UserId::random(),
            now: Timestamp::from_seconds(0),
            limits: Limits { deadline_ms: 1, ..one.limits },
            ..one.clone()
        };
        let key = plan_key(&fixture, &one).await;
        assert_eq!(StatementKey::of(&one), StatementKey::of(&later));
        for other in [&newer, &elsewhere] {
            assert_ne!(StatementKey::of(&one), StatementKey::of(other));
            assert_ne!(key, plan_key(&fixture, other).await);
        }
        let whole = key.result(&one.limits, &"json");
        let some = Limits { rows: Some(10), ..one.limits };
        assert_eq!(whole, key.result(&later.limits, &"json"));
        assert_ne!(whole, key.result(&some, &"json"));
        assert_ne!(whole, key.result(&one.limits, &"csv"));
    }

    #[tokio::test]
    async fn what_changes_from_run_to_run_is_seen() {
        let fixture = Fixture::new().await;
        check(&fixture, "select id, upper(city), round(2.5) from trips", false).await;
        check(&fixture, "select sum(id) over (order by day) from trips", false).await;
        check(&fixture, "select to_timestamp('2024-01-01'), date_trunc('day', day) from trips", false).await;
        check(&fixture, "select now()", true).await;
        check(&fixture, "select current_date", true).await;
        check(&fixture, "select current_time", true).await;
        check(&fixture, "select random()", true).await;
        check(&fixture, "select uuid()", true).await;
        check(&fixture, "select id from trips where day > now() - interval '1 day'", true).await;
        check(&fixture, "select id from trips where exists (select 1 where random() > 0.5)", true).await;
        check(&fixture, "with t as (select now() as n) select id from trips, t", true).await;
        check(&fixture, "select sum(id) filter (where random() > 0.5) from trips", true).await;
        check(&fixture, "select count(*) from trips group by city order by random()", true).await;
        check(&fixture, "select case when id > 0 then random() end from trips", true).await;
        check(&fixture, "select * from range(1, 3)", true).await;
        check(&fixture, "explain select id from trips", true).await;

        async fn check(fixture: &Fixture, statement: &str, expected: bool) {
            let (_, plan) = fixture.engine.plan(&spec(fixture, statement)).await.unwrap();
            assert_eq!(is_volatile(&plan).unwrap(), expected, "{statement}");
        }
    }
}

//! Macros from the statement to its rows, over a store.

use std::sync::Arc;

use super::parse;
use crate::auth::{Principal, Role, Scope};
use crate::catalog::name::NameKey;
use crate::catalog::record::{MacroParameter, MacroRecord};
use crate::catalog::store::sqlite::SqliteStore;
use crate::catalog::store::{MacroStore, Stores};
use crate::clock::Timestamp;
use crate::engine::Request;
use crate::engine::cache::Statements;
use crate::engine::testing::{Fixture, text};
use crate::error::{Code, Result};
use crate::ids::{MacroId, QueryId, UserId};

const NOW: Timestamp = Timestamp::from_seconds(1_714_521_600);

/// An engine, and a store in which Ana has macros.
struct World {
    fixture: Fixture,
    stores: Stores,
    ana: Principal,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let stores = SqliteStore::open(fixture.folder.path().join("meta.db")).unwrap().stores();
        let ana = Principal {
            user_id: UserId::random(),
            email: "ana@example.com".to_owned(),
            role: Role::User,
            scope: Scope::Full,
            operator: false,
            scan_bytes_max: None,
        };
        Self { fixture, stores, ana }
    }

    fn macros(&self) -> &dyn MacroStore {
        self.stores.macros.as_ref()
    }

    /// `margin(sales DECIMAL(9, 2), cost)`.
    fn draft(&self, call: &str, expression: &str) -> MacroRecord {
        let (name, rest) = call.split_once('(').unwrap();
        let parameters = rest.strip_suffix(')').unwrap().split(';').filter(|text| !text.is_empty());
        let parameters = parameters.map(|text| match text.trim().split_once(' ') {
            Some((name, kind)) => MacroParameter { name: name.to_owned(), kind: Some(kind.to_owned()) },
            None => MacroParameter { name: text.trim().to_owned(), kind: None },
        });
        MacroRecord {
            id: MacroId::random(),
            name: name.to_owned(),
            name_key: NameKey::of(name),
            owner_id: self.ana.user_id.clone(),
            shared: false,
            parameters: parameters.collect(),
            expression: expression.to_owned(),
            description: String::new(),
            calls: Vec::new(),
            created_at: NOW,
            updated_at: NOW,
            revision: 0,
        }
    }

    async fn put(&self, draft: MacroRecord) -> Result<()> {
        let checked = self.fixture.engine.check_macro(self.macros(), draft).await?;
        self.macros().put(checked).await?;
        Ok(())
    }

    async fn make(&self, call: &str, expression: &str) {
        self.put(self.draft(call, expression)).await.unwrap();
    }

    async fn share(&self, call: &str, expression: &str) {
        self.put(MacroRecord { shared: true, ..self.draft(call, expression) }).await.unwrap();
    }

    /// The statement with its macros written out.
    async fn written(&self, statement: &str) -> Result<String> {
        parse(&Statements::default(), self.macros(), &self.ana, statement.to_owned())
            .await
            .map(|(text, _)| text)
    }

    async fn ask(&self, statement: &str) -> Result<Vec<String>> {
        let request = Request::new(QueryId::random(), statement);
        let datasets = self.stores.datasets.as_ref();
        let spec = self.fixture.engine.resolve(datasets, self.macros(), &self.ana, request, NOW).await?;
        text(self.fixture.engine.run(spec).await?).await
    }
}

#[tokio::test]
async fn calls_are_written_out_where_they_stand() {
    let world = World::new().await;
    world.make("margin(sales;cost)", "(sales - cost) / nullif(sales, 0)").await;
    world.make("twice(x)", "x + x").await;
    world.make("typed(x DECIMAL(9, 2))", "x").await;
    world.make("税込(金額)", "金額 * 1.1").await;
    world.make("one()", "1").await;
    let check = async |statement: &str, expected: &str| {
        assert_eq!(world.written(statement).await.unwrap(), expected, "{statement}");
    };
    check("select 1", "select 1").await;
    check(
        "select margin(a, b + 1) from t",
        r#"select ((a - (b + 1)) / nullif(a, 0)) AS "margin(a, b + 1)" from t"#,
    )
    .await;
    check("select MARGIN(a,b) as m from t", "select ((a - b) / nullif(a, 0)) as m from t").await;
    check(r#"select 2 * "Margin"(a,b) m from t"#, "select 2 * ((a - b) / nullif(a, 0)) m from t").await;
    check("select twice(-1) x", "select ((-1) + (-1)) x").await;
    check("select twice(twice(a)) x", "select ((a + a) + (a + a)) x").await;
    check("select abs(twice(a)) x", "select abs((a + a)) x").await;
    check("select twice(t.a) x", "select (t.a + t.a) x").await;
    check("select typed(a * 2) x", "select CAST(a * 2 AS DECIMAL(9,2)) x").await;
    check("select one() + one ( ) x", "select 1 + 1 x").await;
    check("select 税込(売上) x from 表", "select (売上 * 1.1) x from 表").await;
    check(
        "-- twice(1)\nselect 'twice(1)', twice(\n  a) /* ) */ x,\n  b -- 平\nfrom t where twice(b) > ')'",
        "-- twice(1)\nselect 'twice(1)', (a + a) /* ) */ x,\n  b -- 平\nfrom t where (b + b) > ')'",
    )
    .await;
    check("explain select twice(1) x", "explain select (1 + 1) x").await;
    check(
        "with c as (select twice(a) from t) select * from c order by twice(2)",
        r#"with c as (select (a + a) AS "twice(a)" from t) select * from c order by (2 + 2)"#,
    )
    .await;
    check(r#"select twice("a""b")"#, r#"select ("a""b" + "a""b") AS "twice(""a""""b"")""#).await;
    check("select nothing(1)", "select nothing(1)").await;
}

#[tokio::test]
async fn rows_are_those_of_the_expression() {
    let world = World::new().await;
    world.make("margin(sales DECIMAL(18, 2);cost)", "safe_divide(sales - cost, sales)").await;
    world.make("percent(x)", "round(x * 100, 1)").await;
    world.make("margin_percent(s;c)", "percent(margin(s, c))").await;
    world.make("share(part;whole)", "sum(part) / sum(whole)").await;
    check(&world, "select margin_percent(80, 60)", "25.0").await;
    check(&world, "select share(x, y) from (values (1.0, 4.0), (2.0, 4.0)) t(x, y)", "0.375").await;
    check(&world, "select margin(0, 60) is null", "true").await;

    async fn check(world: &World, statement: &str, expected: &str) {
        let rows = world.ask(statement).await.unwrap();
        assert_eq!(rows.len(), 1, "{statement}");
        assert!(rows[0].starts_with(expected), "{statement}: {rows:?}");
    }
}

#[tokio::test]
async fn a_name_in_a_macro_never_means_one_of_the_statement() {
    let world = World::new().await;
    world.make("plus(a;b)", "a * 10 + b").await;
    // Arguments that are called like the other parameter.
    let statement = "select plus(b, a) as r from (values (1, 2)) t(a, b)";
    assert_eq!(world.ask(statement).await.unwrap(), ["21"]);
}

#[tokio::test]
async fn own_macros_come_before_shared_ones() {
    let world = World::new().await;
    world.share("rate()", "1").await;
    world.share("priced(x)", "x * rate()").await;
    assert_eq!(world.ask("select priced(7)").await.unwrap(), ["7"]);
    world.make("rate()", "100").await;
    assert_eq!(world.ask("select rate()").await.unwrap(), ["100"]);
    assert_eq!(world.ask("select priced(7)").await.unwrap(), ["7"], "a shared macro sees shared ones");
    let other = Principal { user_id: UserId::random(), ..world.ana.clone() };
    let (text, _) =
        parse(&Statements::default(), world.macros(), &other, "select rate() r".to_owned()).await.unwrap();
    assert_eq!(text, "select 1 r", "one's own are nobody else's");
}

#[tokio::test]
async fn calls_that_do_not_fit_are_refused_where_they_stand() {
    let world = World::new().await;
    world.make("twice(x)", "x + x").await;
    check(&world, "select\n twice()", "(line 2, column 2)", "takes 1 values, got 0").await;
    check(&world, "select twice(1, 2)", "(line 1, column 8)", "takes 1 values, got 2").await;
    check(&world, "select twice(*)", "", "no names, no `*`").await;
    check(&world, "select twice(x => 1)", "", "no names, no `*`").await;
    check(&world, "select twice(distinct a) from t", "", "no DISTINCT").await;
    check(&world, "select twice(a order by a) from t", "", "no ORDER BY").await;
    check(&world, "select twice(a) over () from t", "", "no FILTER, no OVER").await;
    check(&world, "select twice(a) filter (where a > 1) from t", "", "no FILTER, no OVER").await;

    async fn check(world: &World, statement: &str, place: &str, expected: &str) {
        let error = world.written(statement).await.unwrap_err();
        let details = error.details();
        assert_eq!(error.code(), Code::InvalidSql, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        if !place.is_empty() {
            assert_eq!(format!("(line {}, column {})", details["line"], details["column"]), place);
        }
    }
}

#[tokio::test]
async fn what_is_no_macro_is_not_stored() {
    use Code as C;
    let world = World::new().await;
    world.make("known(x)", "x").await;
    for (call, expression, code, expected) in [
        ("f(x)", "", C::InvalidSql, "expected: an expression"),
        ("f(x)", "x +", C::InvalidSql, "xpected"),
        ("f(x)", "x, x", C::InvalidSql, "expected one expression that ends here, found: ,"),
        ("f(x)", "x; drop table t", C::InvalidSql, "ends here, found: ;"),
        ("f(x)", "y + x", C::InvalidSql, "`y` is no parameter of the macro"),
        ("f(x)", "x.y", C::InvalidSql, "`x.y` is no parameter"),
        ("f(x)", "t.x", C::InvalidSql, "`t.x` is no parameter"),
        ("f(x)", "(select 1)", C::InvalidSql, "holds no sub-query"),
        ("f(x)", "x in (select 1)", C::InvalidSql, "holds no sub-query"),
        ("f(x)", "exists (select 1)", C::InvalidSql, "holds no sub-query"),
        ("f(x)", "$1 + x", C::InvalidSql, "`$1` has no value in a macro"),
        ("f(x)", "sum(x) over ()", C::InvalidSql, "no window function"),
        ("f(x)", "a.b(x)", C::InvalidSql, "has dots"),
        ("f(x)", "x as y", C::InvalidSql, "ends here"),
        ("f(x)", "unheard_of(x)", C::UnknownName, "calls `unheard_of`, and there is no such function"),
        ("f(x)", "known(x, x)", C::InvalidSql, "takes 1 values, got 2"),
        ("f(x)", "f(x)", C::InvalidSql, "a macro calls itself: `f` calls `f`"),
        ("f(x INTEGER)", "abs(x, x)", C::InvalidSql, "abs"),
        ("f(x NOTHING)", "x", C::NotSupported, "NOTHING"),
        ("f(x INTEGER x)", "x", C::InvalidSql, "the type of the parameter `x`"),
        ("sum(x)", "x", C::DuplicateError, "a function that everybody has"),
        ("ABS(x)", "x", C::DuplicateError, "a function that everybody has"),
        ("unnest(x)", "x", C::DuplicateError, "a function that everybody has"),
        ("safe_divide(x)", "x", C::DuplicateError, "a function that everybody has"),
        ("not(x)", "x", C::ValidationError, "a word of SQL"),
        ("2f(x)", "x", C::ValidationError, "is no name"),
        ("f-g(x)", "x", C::ValidationError, "is no name"),
        ("f(null)", "1", C::ValidationError, "a word of SQL"),
        ("f(x;X)", "x", C::ValidationError, "is there twice"),
        ("f(x y z)", "x", C::InvalidSql, "the type of the parameter"),
    ] {
        let error = world.put(world.draft(call, expression)).await.expect_err(call);
        assert_eq!(error.code(), code, "{call} {expression}: {error}");
        assert!(error.to_string().contains(expected), "{call} {expression}: {error}");
    }
    let long = format!("x{}", " + x".repeat(2_000));
    let error = world.put(world.draft(&format!("f(x {})", "A".repeat(201)), "x")).await.unwrap_err();
    assert!(error.to_string().contains("the type of `x` has more than 200 bytes"), "{error}");
    let error = world.put(world.draft("f(x)", &long)).await.unwrap_err();
    assert!(error.to_string().contains("8001 bytes; at most 4096"), "{error}");
}

#[tokio::test]
async fn cycles_are_refused_wherever_they_close() {
    let world = World::new().await;
    world.make("f(x)", "x").await;
    world.make("g(x)", "f(x)").await;
    world.make("h(x)", "g(x)").await;
    let stored =
        world.macros().lookup(&[world.draft("f(x)", "").scope()], &[NameKey::of("f")]).await.unwrap();
    let mut draft = stored[0].clone();
    draft.expression = "h(x)".to_owned();
    let error = world.put(draft.clone()).await.unwrap_err();
    assert!(error.to_string().contains("`f` calls `h` calls `g` calls `f`"), "{error}");

    // A shared one sees shared ones only, so this is no call of one's own `f`.
    let shared = MacroRecord { shared: true, ..world.draft("f(x)", "f(x)") };
    let error = world.put(shared).await.unwrap_err();
    assert!(error.to_string().contains("`f` calls `f`"), "{error}");

    // Two writers at the same moment may close one all the same: then the statement is refused.
    draft.calls = vec![NameKey::of("h")];
    world.macros().put(draft).await.unwrap();
    let error = world.ask("select g(1)").await.unwrap_err();
    assert!(error.to_string().contains("a macro calls itself"), "{error}");
}

#[tokio::test]
async fn what_grows_too_large_is_refused_before_it_does() {
    let world = World::new().await;
    world.make("f0(x)", "x + x + x + x + x + x + x + x + x + x").await;
    world.make("f1(x)", "f0(f0(x))").await;
    world.make("f2(x)", "f0(f1(x))").await;
    let error = world.put(world.draft("f3(x)", "f1(f2(x))")).await.unwrap_err();
    assert_eq!(error.code(), Code::OverLimit, "{error}");
    assert!(error.to_string().contains("10000 parts once its macros are written out"), "{error}");
    let error = world.written("select f2(f2(f2(f2(f2(f2(f2(f2(1))))))))").await.unwrap_err();
    assert_eq!(error.code(), Code::OverLimit, "{error}");

    world.make("d0(x)", "x").await;
    for level in 1..8 {
        world.make(&format!("d{level}(x)"), &format!("d{}(x)", level - 1)).await;
    }
    assert_eq!(world.written("select d7(1) x").await.unwrap(), "select 1 x");
    let error = world.put(world.draft("d8(x)", "d7(x)")).await.unwrap_err();
    assert!(error.to_string().contains("over more than 8 levels"), "{error}");

    let many: Vec<String> = (0..100).map(|n| format!("nothing{n}(1)")).collect();
    let error = world.written(&format!("select {}", many.join(", "))).await.unwrap_err();
    assert!(error.to_string().contains("more than 64 functions that are not built in"), "{error}");
}

#[tokio::test]
async fn a_macro_that_lost_what_it_calls_says_so() {
    let world = World::new().await;
    world.make("inner(x)", "x").await;
    world.make("outer(x)", "inner(x)").await;
    let inner = world.draft("inner(x)", "");
    let found = world.macros().lookup(&[inner.scope()], &[inner.name_key]).await.unwrap();
    world.macros().remove(&found[0].id, 1).await.unwrap();
    let error = world.ask("select outer(1)").await.unwrap_err();
    assert_eq!(error.to_string(), "the macro `outer` calls `inner`, and there is no such function");
}

/// A statement without macros costs no look-up: the store would say that it was asked.
#[tokio::test]
async fn the_store_is_asked_only_for_functions_that_are_not_built_in() {
    let world = World::new().await;
    let stores = Arc::new(Unasked);
    for statement in
        ["select 1", "select sum(x), abs(max(y)), normalize_ja('a') from t", "select unnest([1])"]
    {
        parse(&Statements::default(), stores.as_ref(), &world.ana, statement.to_owned()).await.unwrap();
    }
    let error = parse(&Statements::default(), stores.as_ref(), &world.ana, "select f(1)".to_owned())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::ServiceUnavailable);
}

/// Stands for a store that does not answer.
#[derive(Debug)]
struct Unasked;

mod unasked {
    use async_trait::async_trait;

    use super::Unasked;
    use crate::catalog::name::NameKey;
    use crate::catalog::record::{MacroRecord, MacroScope};
    use crate::catalog::store::{MacroStore, StoreError};
    use crate::ids::MacroId;

    type Answer<T> = Result<T, StoreError>;

    fn silent<T>() -> Answer<T> {
        Err(StoreError::Unavailable("no answer".into()))
    }

    #[async_trait]
    impl MacroStore for Unasked {
        async fn get(&self, _: &MacroId) -> Answer<Option<MacroRecord>> {
            silent()
        }

        async fn lookup(&self, _: &[MacroScope], _: &[NameKey]) -> Answer<Vec<MacroRecord>> {
            silent()
        }

        async fn of(&self, _: &MacroScope) -> Answer<Vec<MacroRecord>> {
            silent()
        }

        async fn put(&self, _: MacroRecord) -> Answer<u64> {
            silent()
        }

        async fn remove(&self, _: &MacroId, _: u64) -> Answer<()> {
            silent()
        }
    }
}

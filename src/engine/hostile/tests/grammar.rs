//! Statements at random: mostly such as somebody could mean, and now and then one with far too much of something.

use std::fmt::Write as _;

/// A seed gives the same statement always.
#[derive(Debug)]
pub(super) struct Grammar {
    state: u64,
    /// How deep expressions and queries may still nest.
    budget: u32,
    functions: Vec<String>,
}

const COLUMNS: &[&str] = &["b", "i8", "i32", "i64", "u64", "f64", "dec", "d", "ts", "s", "bin"];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3.5",
    "7",
    "100",
    "1e6",
    "1e308",
    "127",
    "2147483647",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "0.1",
    "null",
];

const TEXTS: &[&str] = &[
    "''",
    "'a'",
    "'東京'",
    "'2024-02-29'",
    "'9999-12-31 23:59:59'",
    "'12'",
    "'%a_'",
    "'(a|b)*c'",
    "'['",
    "'UTC'",
    "'%Y-%m'",
    "'day'",
    "'Int8'",
    "'hex'",
    "'x''y'",
    "'sha256'",
    "null",
    "'1 day'",
    "'g'",
];

const TYPES: &[&str] = &[
    "int",
    "bigint",
    "smallint",
    "tinyint",
    "bigint unsigned",
    "double",
    "real",
    "decimal(38, 10)",
    "decimal(5, 2)",
    "varchar",
    "boolean",
    "date",
    "timestamp",
    "time",
    "bytea",
    "interval",
    "int[]",
    "varchar[3]",
];

const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "||", "&", "|", "#", "<<", ">>"];

const COMPARISONS: &[&str] =
    &["=", "<>", "<", ">=", "is distinct from", "like", "ilike", "~", "!~*", "not like", "similar to"];

const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "stddev",
    "array_agg",
    "bit_and",
    "bool_or",
    "approx_distinct",
    "first_value",
    "last_value",
    "any_value",
    "approx_median",
    "var_pop",
];

const WINDOWS: &[&str] = &[
    "row_number()",
    "rank()",
    "dense_rank()",
    "percent_rank()",
    "cume_dist()",
    "ntile(4)",
    "lag(i64)",
    "lead(s, 3, 'x')",
    "first_value(s)",
    "last_value(d)",
    "nth_value(i64, 2)",
    "sum(i32)",
    "count(*)",
    "min(s)",
    "avg(f64)",
    "lag(i64, 9223372036854775807)",
    "ntile(1000000000000)",
    "array_agg(i8)",
];

impl Grammar {
    pub(super) fn new(seed: u64, functions: Vec<String>) -> Self {
        // Neighbouring seeds shall not begin alike.
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03, budget: 6, functions }
    }

    pub(super) fn statement(&mut self) -> String {
        match self.below(12) {
            0 => self.hostile(),
            1 => format!("explain {}", self.query()),
            _ => self.query(),
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next() as usize % of.len()]
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn list(&mut self, most: u64, separator: &str, mut item: impl FnMut(&mut Self) -> String) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| item(self)).collect::<Vec<_>>().join(separator)
    }

    /// `deep`, or `flat` when it nests deep enough already.
    fn nested(
        &mut self,
        flat: impl FnOnce(&mut Self) -> String,
        deep: impl FnOnce(&mut Self) -> String,
    ) -> String {
        if self.budget == 0 {
            return flat(self);
        }
        self.budget -= 1;
        let text = deep(self);
        self.budget += 1;
        text
    }

    fn query(&mut self) -> String {
        self.nested(|_| "select 1 as i64, 'a' as s".to_owned(), Self::deep_query)
    }

    fn deep_query(&mut self) -> String {
        let mut text = String::new();
        if self.chance(5) {
            let recursive = if self.chance(4) { "recursive " } else { "" };
            let ctes = self.list(3, ", ", |it| format!("c{} as ({})", it.below(3), it.query()));
            let _ = write!(text, "with {recursive}{ctes} ");
        }
        text += &self.select();
        if self.chance(6) {
            let operation = self.pick(&["union all", "union", "except", "intersect all"]);
            let _ = write!(text, " {operation} {}", self.select());
        }
        if self.chance(3) {
            let _ = write!(text, " order by {}", self.list(2, ", ", |it| it.order()));
        }
        if self.chance(4) {
            let _ = write!(text, " limit {}", self.pick(&["0", "1", "10", "9223372036854775807", "1 + 1"]));
        }
        if self.chance(10) {
            let _ = write!(text, " offset {}", self.pick(&["0", "1", "1000000000000"]));
        }
        text
    }

    fn order(&mut self) -> String {
        let by = match self.below(4) {
            0 => "1".to_owned(),
            _ => self.expr(),
        };
        format!("{by} {}", self.pick(&["", "desc", "nulls first", "desc nulls last"]))
    }

    fn select(&mut self) -> String {
        let grouped = self.chance(3);
        let distinct = if self.chance(8) { "distinct " } else { "" };
        let columns = if grouped {
            self.list(3, ", ", Self::aggregate)
        } else {
            self.list(4, ", ", |it| match it.below(8) {
                0 => "*".to_owned(),
                1 => it.window(),
                _ => format!("{} as {}", it.expr(), it.pick(COLUMNS)),
            })
        };
        let mut text = format!("select {distinct}{columns} from {}", self.from());
        if self.chance(2) {
            let _ = write!(text, " where {}", self.condition());
        }
        if grouped {
            let by = match self.below(6) {
                0 => format!("cube({})", self.list(7, ", ", |it| it.column())),
                1 => format!("rollup({})", self.list(5, ", ", |it| it.column())),
                2 => "all".to_owned(),
                _ => self.list(2, ", ", Self::expr),
            };
            let _ = write!(text, " group by {by}");
            if self.chance(4) {
                let _ = write!(text, " having {} > 1", self.aggregate());
            }
        } else if self.chance(12) {
            let _ = write!(text, " qualify {} > 1", self.window());
        }
        text
    }

    fn from(&mut self) -> String {
        let first = self.relation();
        let mut text = first;
        while self.chance(4) && text.len() < 4_000 {
            let kind = self.pick(&[
                "join",
                "left join",
                "full join",
                "right join",
                "cross join",
                "left semi join",
                ", lateral",
            ]);
            match kind {
                "cross join" => text = format!("{text} cross join {}", self.relation()),
                ", lateral" => text = format!("{text}, lateral ({}) l", self.query()),
                kind => {
                    let relation = self.relation();
                    text = format!("{text} {kind} {relation} on {}", self.condition());
                }
            }
        }
        text
    }

    fn relation(&mut self) -> String {
        let alias = format!("t{}", self.below(4));
        match self.below(9) {
            0 => format!("({}) {alias}", self.query()),
            1 => format!("c{}", self.below(3)),
            2 => format!(
                "range({}, {}) {alias}(i64)",
                self.pick(&["0", "1", "-5"]),
                self.pick(&["3", "10", "100000", "1000000000000"])
            ),
            3 => format!("unnest({}) {alias}(i64)", self.array()),
            4 => format!(
                "(values {}) {alias}(i64, s)",
                self.list(3, ", ", |it| format!("({}, {})", it.expr(), it.pick(TEXTS)))
            ),
            _ => format!("trips {alias}"),
        }
    }

    fn column(&mut self) -> String {
        let column = self.pick(COLUMNS);
        if self.chance(6) { format!("t{}.{column}", self.below(4)) } else { column.to_owned() }
    }

    fn literal(&mut self) -> String {
        match self.below(6) {
            0 | 1 => self.pick(NUMBERS).to_owned(),
            2 | 3 => self.pick(TEXTS).to_owned(),
            4 => self
                .pick(&[
                    "date '2024-01-01'",
                    "timestamp '1969-12-31'",
                    "interval '1 month'",
                    "interval '9999999 years'",
                    "x'00ff'",
                    "true",
                ])
                .to_owned(),
            _ => self.array(),
        }
    }

    fn array(&mut self) -> String {
        match self.below(4) {
            0 => "range(0, 20)".to_owned(),
            1 => format!("array_repeat({}, {})", self.pick(TEXTS), self.pick(NUMBERS)),
            2 => format!("{{'a': {}}}", self.pick(NUMBERS)),
            _ => format!("[{}]", self.list(3, ", ", |it| it.pick(NUMBERS).to_owned())),
        }
    }

    fn expr(&mut self) -> String {
        self.nested(Self::leaf, |it| match it.below(13) {
            0 | 1 => it.leaf(),
            2 | 3 => format!("({} {} {})", it.expr(), it.pick(OPERATORS), it.expr()),
            4 | 5 => it.call(),
            6 => format!("cast({} as {})", it.expr(), it.pick(TYPES)),
            7 => format!("try_cast({} as {})", it.expr(), it.pick(TYPES)),
            8 => format!("case when {} then {} else {} end", it.condition(), it.expr(), it.expr()),
            9 => format!("(select {} from {})", it.aggregate(), it.relation()),
            10 => format!("{}[{}]", it.array(), it.pick(NUMBERS)),
            11 => format!("extract({} from {})", it.pick(&["year", "month", "epoch", "dow"]), it.expr()),
            _ => format!("-({})", it.expr()),
        })
    }

    fn leaf(&mut self) -> String {
        if self.chance(3) { self.literal() } else { self.column() }
    }

    /// Any function with any arguments: most do not fit, and that has to be told well.
    fn call(&mut self) -> String {
        let at = self.next() as usize % self.functions.len();
        let name = self.functions[at].clone();
        match self.below(4) {
            0 => format!("{name}({})", self.list(4, ", ", |it| it.expr())),
            1 => format!("{name}({}, {})", self.column(), self.pick(NUMBERS)),
            2 => format!("{name}({}, {}, {})", self.pick(TEXTS), self.pick(TEXTS), self.pick(TEXTS)),
            _ => format!("{name}({})", self.leaf()),
        }
    }

    fn aggregate(&mut self) -> String {
        let name = self.pick(AGGREGATES);
        let distinct = if self.chance(6) { "distinct " } else { "" };
        let filter =
            if self.chance(8) { format!(" filter (where {})", self.condition()) } else { String::new() };
        match self.below(6) {
            0 => "count(*)".to_owned(),
            1 => format!("string_agg(s, ','{})", if self.chance(2) { " order by i64" } else { "" }),
            2 => format!("approx_percentile_cont(f64, 0.5, {})", self.pick(NUMBERS)),
            _ => format!("{name}({distinct}{}){filter}", self.expr()),
        }
    }

    fn window(&mut self) -> String {
        let function = self.pick(WINDOWS);
        let by = if self.chance(2) { format!("partition by {} ", self.column()) } else { String::new() };
        let order = if self.chance(2) { format!("order by {} ", self.column()) } else { String::new() };
        let frame = self.pick(&[
            "",
            "rows between 3 preceding and current row",
            "rows between unbounded preceding and unbounded following",
            "rows between 1 following and 1000000000 following",
            "range between unbounded preceding and current row",
            "groups between 1 preceding and 1 following",
            "rows between 18446744073709551615 preceding and 1 preceding",
        ]);
        format!("{function} over ({by}{order}{frame})")
    }

    fn condition(&mut self) -> String {
        self.nested(
            |it| format!("{} is not null", it.column()),
            |it| match it.below(8) {
                0 => format!("{} and {}", it.condition(), it.condition()),
                1 => format!("({} or {})", it.condition(), it.condition()),
                2 => format!("not {}", it.condition()),
                3 => format!("{} in ({})", it.expr(), it.list(4, ", ", Self::literal)),
                4 => format!("{} between {} and {}", it.expr(), it.expr(), it.expr()),
                5 => format!("exists ({})", it.query()),
                6 => format!("{} in (select {} from {})", it.column(), it.column(), it.relation()),
                _ => format!("{} {} {}", it.expr(), it.pick(COMPARISONS), it.expr()),
            },
        )
    }

    /// Far too much of one thing, around something ordinary.
    fn hostile(&mut self) -> String {
        let count = [10, 100, 300, 3_000, 20_000][self.next() as usize % 5];
        let much = |separator: &str, item: &str| vec![item; count].join(separator);
        let expr = self.nested(Self::leaf, Self::leaf);
        match self.below(16) {
            0 => format!("select {} from trips", much("+", "i64")),
            1 => format!("select {} from trips", much("||", "s")),
            2 => format!("select * from trips where {}", much(" or ", "i64 = 1")),
            3 => much(" union all ", &format!("select {expr} from trips")),
            4 => format!("select {} from trips", much(",", &expr)),
            5 => format!("select {}1{}", "(".repeat(count), ")".repeat(count)),
            6 => format!(
                "select {}s{} from trips",
                "upper(".repeat(count.min(400)),
                ")".repeat(count.min(400))
            ),
            7 => format!("select * from trips where i64 in ({})", much(",", "1")),
            8 => format!("select case {} end from trips", much(" ", "when i64 = 1 then s")),
            9 => format!("select count(*) from trips group by cube({})", much(",", "i64")),
            10 => format!("select 1 from {}", much(" cross join ", "trips")),
            11 => format!("values {}", much(",", "(1, 'a')")),
            12 => format!("select {} from trips", much(",", "sum(i64) over (order by s)")),
            13 => self.doubling(),
            14 => format!(
                "select {} from range(1, {})",
                self.grower(),
                self.pick(&["2", "100000", "1000000000000"])
            ),
            _ => format!(
                "with recursive r as (select 1 as i64 union all select i64 + {} from r) select {} from r",
                self.pick(&["0", "1", "9223372036854775807"]),
                self.pick(&["count(*)", "*", "sum(i64) over ()"])
            ),
        }
    }

    fn doubling(&mut self) -> String {
        let next = self.pick(&[
            "x || x",
            "[x, x]",
            "struct(x, x)",
            "concat(x, x)",
            "x + x",
            "greatest(x, x)",
            "case when x = x then x end",
            "array_concat([x], [x])",
        ]);
        let twice = self.chance(3);
        let levels = [3, 8, 14, 40][self.next() as usize % 4];
        let mut text = format!("with c0 as (select {} as x)", self.pick(&["1", "'ab'", "[1]", "s"]));
        for level in 1..levels {
            let before = level - 1;
            let _ = match twice {
                true => write!(text, ", c{level} as (select a.x from c{before} a, c{before} b)"),
                false => write!(text, ", c{level} as (select {next} as x from c{before})"),
            };
        }
        let _ = write!(text, " select {} from c{}", self.pick(&["x", "count(*)", "length(x)"]), levels - 1);
        text + self.pick(&["", " where x = x", " where x is not null", " order by x"])
    }

    fn grower(&mut self) -> String {
        let (many, text) = (self.pick(&["1000", "1000000", "1000000000000", "value"]), self.pick(TEXTS));
        match self.below(12) {
            0 => format!("repeat({text}, {many})"),
            1 => format!("lpad({text}, {many}, {text})"),
            2 => format!("replace(repeat('a', {many}), 'a', repeat({text}, 1000))"),
            3 => format!("regexp_replace(repeat('a', {many}), '(a)', '\\1\\1\\1', 'g')"),
            4 => format!("range(0, {many})"),
            5 => format!("array_repeat({text}, {many})"),
            6 => format!("unnest(range(0, {many})), repeat({text}, 100)"),
            7 => format!("levenshtein(repeat('a', {many}), repeat({text}, {many}))"),
            8 => format!("string_agg(repeat({text}, 1000), ',')"),
            9 => format!("array_agg(range(0, {many}))"),
            10 => format!("first_value(repeat({text}, {many})) over (order by value)"),
            _ => format!("array_to_string(range(0, {many}), {text})"),
        }
    }
}

//! Drawing tables, of results and of the API's lists. Widths count terminal cells, so Japanese aligns.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::failure::Failure;
use super::out::Out;

/// The fewest cells that a column is squeezed into.
const CELLS_MIN: usize = 8;
/// The most cells that a value of the first rows gets.
const CELLS_MAX: usize = 24;

/// A column of a list: its title, and the field it shows.
pub(super) type Column = (&'static str, &'static str);

/// Shows a list as a table.
pub(super) fn list(columns: &[Column], items: &[Value], out: &mut Out) -> Result<(), Failure> {
    let mut table = new_table(columns.len(), out);
    table.set_header(columns.iter().map(|(title, _)| Cell::new(title)));
    for item in items {
        table.add_row(columns.iter().map(|(_, field)| value_cell(lookup(item, field))));
    }
    draw(&table, out)
}

/// Shows items as [`list`] does or, for programs, as the API's JSON.
pub(super) fn list_or_json(
    columns: &[Column],
    items: Vec<Value>,
    json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    if json { self::json(&Value::Array(items), out) } else { list(columns, &items, out) }
}

/// The API's JSON, indented.
pub(super) fn json(value: &Value, out: &mut Out) -> Result<(), Failure> {
    out.line(format_args!("{value:#}"))
}

/// Shows the fields of one thing as [`facts`]; those that are absent or empty are left out.
pub(super) fn record(fields: &[Column], item: &Value, out: &mut Out) -> Result<(), Failure> {
    let facts: Vec<_> = fields.iter().map(|(title, field)| (*title, text(lookup(item, field)))).collect();
    self::facts(&facts, out)
}

/// Shows `name: value` lines with the values below each other; those without a value are left out.
pub(super) fn facts(facts: &[(&str, String)], out: &mut Out) -> Result<(), Failure> {
    let shown = || facts.iter().filter(|(_, value)| !value.is_empty());
    let widest = shown().map(|(name, _)| name.width()).max().unwrap_or(0);
    for (name, value) in shown() {
        let gap = " ".repeat(widest - name.width());
        out.line(format_args!("{name}:{gap} {value}"))?;
    }
    Ok(())
}

/// Shows rows that are arrays of values, or objects with the columns' names.
pub(super) fn rows(columns: &[String], rows: &[Value], out: &mut Out) -> Result<(), Failure> {
    let mut table = new_table(columns.len(), out);
    table.set_header(columns.iter().map(Cell::new));
    for row in rows {
        let value = |(index, name): (usize, &String)| row.get(index).or_else(|| row.get(name));
        let cells = columns.iter().enumerate().map(value);
        table.add_row(cells.map(|value| value_cell(value.unwrap_or(&Value::Null))));
    }
    draw(&table, out)
}

/// Shows the first rows of something wide: long values are cut, and columns that do not fit are counted.
/// `columns` are names and types, each row an array of texts, where null is NULL.
pub(super) fn head(columns: &[(String, String)], rows: &[Value], out: &mut Out) -> Result<(), Failure> {
    let cell = |row: &Value, index: usize| match row.get(index) {
        None | Some(Value::Null) => "NULL".to_owned(),
        Some(value) => cut(&text(value)),
    };
    let widest = |(index, (name, _)): (usize, &(String, String))| {
        rows.iter().map(|row| cell(row, index).width()).chain([cut(name).width()]).max().unwrap_or(0)
    };
    let room = out.terminal().and_then(|terminal| terminal.width).unwrap_or(usize::MAX);
    let mut taken = 1;
    let fitting = columns.iter().enumerate().map(widest).take_while(|width| {
        taken += width + 3;
        taken <= room
    });
    let count = fitting.count().max(1).min(columns.len());

    let mut table = new_table(count, out);
    table.set_header(columns[..count].iter().map(|(name, _)| Cell::new(cut(name))));
    for row in rows {
        table.add_row(columns[..count].iter().enumerate().map(|(index, (_, type_name))| {
            let cell = Cell::new(cell(row, index));
            if is_number(type_name) { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
    }
    draw(&table, out)?;
    match columns.len() - count {
        0 => Ok(()),
        1 => out.line("and 1 more column"),
        more => out.line(format_args!("and {more} more columns")),
    }
}

/// By the name of a type, as the API gives it.
fn is_number(type_name: &str) -> bool {
    ["int", "uint", "float", "decimal"].iter().any(|number| type_name.starts_with(number))
}

/// At most [`CELLS_MAX`] cells of a text.
fn cut(text: &str) -> String {
    if text.width() <= CELLS_MAX {
        return text.to_owned();
    }
    let mut cells = 0;
    let fitting = text.chars().take_while(|c| {
        cells += c.width().unwrap_or(0);
        cells < CELLS_MAX
    });
    fitting.chain(['…']).collect()
}

/// Shows rows of a result.
pub(super) fn batches(schema: &SchemaRef, batches: &[RecordBatch], out: &mut Out) -> Result<(), Failure> {
    let options = FormatOptions::default().with_null("NULL").with_display_error(true);
    let unshowable = |cause| Failure::Connection(format!("the result cannot be shown: {cause}"));
    let mut table = new_table(schema.fields().len(), out);
    table.set_header(schema.fields().iter().map(|field| Cell::new(field.name())));
    for batch in batches {
        let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(unshowable)?;
        for row in 0..batch.num_rows() {
            table.add_row(formatters.iter().zip(schema.fields()).map(|(formatter, field)| {
                let cell = Cell::new(printable(&formatter.value(row).to_string()));
                if field.data_type().is_numeric() { cell.set_alignment(CellAlignment::Right) } else { cell }
            }));
        }
    }
    draw(&table, out)
}

/// A field of an item; dots go into what is nested, numbers into lists.
fn lookup<'a>(item: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(item, |value, name| {
        let at = || name.parse::<usize>().ok().and_then(|at| value.get(at));
        value.get(name).or_else(at).unwrap_or(&Value::Null)
    })
}

fn value_cell(value: &Value) -> Cell {
    let cell = Cell::new(text(value));
    if value.is_number() { cell.set_alignment(CellAlignment::Right) } else { cell }
}

/// A value as people read it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => printable(&other.to_string()),
    }
}

/// Lines that somebody else wrote, as they are but for what [`printable`] keeps from a terminal.
pub(super) fn lines(text: &str, mut line: impl FnMut(String)) {
    text.lines().for_each(|text| line(printable(&text.replace('\t', "    "))));
}

/// Data must not move the cursor or change colours: control characters are shown as symbols.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '⏎',
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A terminal gets lines around cells, which wrap where it is too narrow for all of them side by side. Where
/// not even [`CELLS_MIN`] would be left for each column, nothing wraps but the terminal's own lines: columns
/// of single letters are not to be read.
fn new_table(columns: usize, out: &Out) -> Table {
    let mut table = Table::new();
    let Some(terminal) = out.terminal() else {
        table.load_preset(presets::NOTHING);
        return table;
    };
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    let wraps = terminal.width.filter(|width| columns * (CELLS_MIN + 3) < *width);
    if let Some(width) = wraps.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

fn draw(table: &Table, out: &mut Out) -> Result<(), Failure> {
    for line in table.lines() {
        out.line(line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::out::Paper;

    #[test]
    fn wide_characters_align_and_numbers_stand_right() {
        let paper = Paper::default();
        let mut out = Out::to(Box::new(paper.clone()), Box::new(std::io::sink()));
        let items =
            [json!({"n": "売上", "rows": 5}), json!({"n": "flights", "rows": 336_776, "o": {"n": "ana"}})];
        list(&[("NAME", "n"), ("ROWS", "rows"), ("OWNER", "o.n")], &items, &mut out).unwrap();
        insta::assert_snapshot!(paper.text(), @r"
         NAME     ROWS    OWNER
         売上          5
         flights  336776  ana
        ");
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[31m\nb\tc"), "a\u{fffd}[31m⏎b c");
    }

    #[test]
    fn facts_stand_below_each_other_and_empty_ones_are_left_out() {
        let paper = Paper::default();
        let mut out = Out::to(Box::new(paper.clone()), Box::new(std::io::sink()));
        let item = json!({"n": "売上", "d": "", "rows": 5});
        record(&[("名前", "n"), ("description", "d"), ("rows", "rows"), ("x", "x")], &item, &mut out)
            .unwrap();
        insta::assert_snapshot!(paper.text(), @r"
        名前: 売上
        rows: 5
        ");
    }

    #[test]
    fn a_terminal_of_any_width_shows_everything() {
        let items = [json!({"a": "北海道", "b": "a long text that has to wrap somewhere", "c": 7})];
        for width in
            [None, Some(1), Some(2), Some(10), Some(33), Some(34), Some(40), Some(200), Some(100_000)]
        {
            let paper = Paper::default();
            let mut out = Out::to_terminal(Box::new(paper.clone()), width);
            list(&[("A", "a"), ("B", "b"), ("C", "c")], &items, &mut out).unwrap();
            head(&[("A".into(), "string".into())], &[json!(["北海道"])], &mut out).unwrap();
            let text = paper.text();
            assert_eq!(text.matches("北海道").count(), 2, "at {width:?}:\n{text}");
            for word in ["long", "somewhere", "7"] {
                assert!(text.contains(word), "at {width:?}:\n{text}");
            }
            if let Some(width @ 34..) = width {
                assert!(text.lines().all(|line| line.width() <= width), "at {width}:\n{text}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        let column = |name: &str, type_name: &str| (name.to_owned(), type_name.to_owned());
        let columns =
            [column("品名", "string"), column("n", "int64"), column("memo", "string"), column("x", "date")];
        let rows = [
            json!(["表計算ソフト", "7", "長い説明がここに入ります。とても長い説明です。", null]),
            json!(["能", null, "", null]),
        ];
        let drawn = |width: Option<usize>| {
            let paper = Paper::default();
            head(&columns, &rows, &mut Out::to_terminal(Box::new(paper.clone()), width)).unwrap();
            paper.text()
        };
        insta::assert_snapshot!(drawn(Some(50)), @r"
        ┌──────────────┬──────┬─────────────────────────┐
        │ 品名         ┆ n    ┆ memo                    │
        ╞══════════════╪══════╪═════════════════════════╡
        │ 表計算ソフト ┆    7 ┆ 長い説明がここに入りま… │
        │ 能           ┆ NULL ┆                         │
        └──────────────┴──────┴─────────────────────────┘
        and 1 more column
        ");
        insta::assert_snapshot!(drawn(None), @r"
        ┌──────────────┬──────┬─────────────────────────┬──────┐
        │ 品名         ┆ n    ┆ memo                    ┆ x    │
        ╞══════════════╪══════╪═════════════════════════╪══════╡
        │ 表計算ソフト ┆    7 ┆ 長い説明がここに入りま… ┆ NULL │
        │ 能           ┆ NULL ┆                         ┆ NULL │
        └──────────────┴──────┴─────────────────────────┴──────┘
        ");
    }
}

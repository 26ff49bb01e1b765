//! Drawing tables, of results and of the API's lists. Widths count terminal cells, so Japanese aligns.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use super::failure::Failure;
use super::out::Out;

/// A column of a list: its title, and the field it shows.
pub(super) type Column = (&'static str, &'static str);

/// Shows a list as a table.
pub(super) fn list(columns: &[Column], items: &[Value], out: &mut Out) -> Result<(), Failure> {
    let mut table = new_table(out);
    table.set_header(columns.iter().map(|(title, _)| Cell::new(title)));
    for item in items {
        table.add_row(columns.iter().map(|(_, field)| value_cell(lookup(item, field))));
    }
    draw(&table, out)
}

/// Shows the fields of one thing, one a line; those that are absent are left out.
pub(super) fn record(fields: &[Column], item: &Value, out: &mut Out) -> Result<(), Failure> {
    let mut table = new_table(out);
    for (title, field) in fields {
        let value = lookup(item, field);
        if !value.is_null() {
            table.add_row([Cell::new(title), Cell::new(text(value))]);
        }
    }
    draw(&table, out)
}

/// Shows rows that are arrays of values, or objects with the columns' names.
pub(super) fn rows(columns: &[String], rows: &[Value], out: &mut Out) -> Result<(), Failure> {
    let mut table = new_table(out);
    table.set_header(columns.iter().map(Cell::new));
    for row in rows {
        let value = |(index, name): (usize, &String)| row.get(index).or_else(|| row.get(name));
        let cells = columns.iter().enumerate().map(value);
        table.add_row(cells.map(|value| value_cell(value.unwrap_or(&Value::Null))));
    }
    draw(&table, out)
}

/// Shows rows of a result.
pub(super) fn batches(schema: &SchemaRef, batches: &[RecordBatch], out: &mut Out) -> Result<(), Failure> {
    let options = FormatOptions::default().with_null("NULL").with_display_error(true);
    let unshowable = |cause| Failure::Connection(format!("the result cannot be shown: {cause}"));
    let mut table = new_table(out);
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

/// A field of an item; dots go into what is nested.
fn lookup<'a>(item: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(item, |value, name| value.get(name).unwrap_or(&Value::Null))
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

fn new_table(out: &Out) -> Table {
    let mut table = Table::new();
    if out.is_terminal() {
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_preset(presets::NOTHING);
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
}

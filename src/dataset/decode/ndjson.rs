//! NDJSON: one object a line. Numbers keep their text, so that 64 bits and decimals pass exactly; nested values stay
//! JSON text.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    cells::{Cells, Kind, offset},
    chunk::{Misfit, Split, Texts},
    error::{BadKind, BadRow, LimitName},
    plan::Plan,
};

/// The cells of the objects in `texts`. A key that is no column is a misfit, or a bad row when columns are fixed.
pub(super) fn split(texts: Texts, plan: &Plan) -> Split {
    let mut split = Split { bad: texts.bad, misfits: texts.misfits, cells: Cells::default() };
    split.cells.columns = plan.columns.len();
    for (text, first_line) in &texts.runs {
        let base = split.cells.text.len();
        split.cells.text.push_str(text);
        for (place, line, record) in lines(text, *first_line) {
            let mut row =
                Row { plan, text, cells: &mut split.cells, base, next: 0, unknown: None, too_long: None };
            let (start, first) = (base + place, row.begin());
            let read = objects(record, &mut row);
            let (unknown, too_long) = (row.unknown.take(), row.too_long);
            let verdict = match (read, too_long, unknown) {
                (Err(error), _, _) => Some((BadKind::Json, json_reason(&error))),
                (_, Some(length), _) => {
                    let reason = format!(
                        "expected at most {} bytes in a value, got {length}",
                        plan.limits.field_bytes
                    );
                    Some((BadKind::TooLong(LimitName::FieldBytes), reason))
                }
                (_, _, Some(key)) if plan.columns_fixed => {
                    Some((BadKind::Ragged, format!("`{key}` is no column")))
                }
                (_, _, Some(column)) => {
                    split.misfits.push(Misfit::NewColumn { line, column });
                    None
                }
                _ => None,
            };
            match verdict {
                None => split.cells.push_row(line, start, start + record.len()),
                Some((kind, reason)) => {
                    split.cells.fields.truncate(first);
                    split.cells.kinds.truncate(first);
                    split.bad.push(BadRow::new(line, kind, reason, record.as_bytes()));
                }
            }
        }
    }
    split
}

/// The keys of the objects in `texts`, each with where it was first seen.
pub(super) fn keys(texts: &Texts, found: &mut BTreeMap<String, (u64, usize)>) {
    for (text, first_line) in &texts.runs {
        for (_, line, record) in lines(text, *first_line) {
            let mut order = 0;
            // Objects that cannot be read give the keys before the fault; the rows are reported when they are parsed.
            let _ = objects(record, &mut |key: &str, _: &RawValue| {
                order += 1;
                let seen = found.entry(key.to_owned()).or_insert((line, order));
                *seen = (*seen).min((line, order));
                Ok(())
            });
        }
    }
}

/// Lines that are not blank: where each begins, its number, and its text.
fn lines(text: &str, first_line: u64) -> impl Iterator<Item = (usize, u64, &str)> {
    let mut place = 0;
    text.split('\n').zip(first_line..).filter_map(move |(line, number)| {
        let start = place;
        place += line.len() + 1;
        (!line.trim_ascii().is_empty()).then_some((start, number, line))
    })
}

/// serde_json counts lines of the text it was given, which is always one.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    format!("expected a JSON object, got {text} at character {}", error.column())
}

/// One row on its way into the cells.
struct Row<'a> {
    plan: &'a Plan,
    /// The text that values lie in, which stands in the cells from `base` on.
    text: &'a str,
    cells: &'a mut Cells,
    base: usize,
    /// The column after that of the last key: objects mostly repeat the order of keys.
    next: usize,
    unknown: Option<String>,
    too_long: Option<usize>,
}

impl Row<'_> {
    /// Makes a row of nulls, and returns its place in the fields.
    fn begin(&mut self) -> usize {
        let first = self.cells.fields.len();
        self.cells.fields.resize(first + self.cells.columns, (0, 0));
        self.cells.kinds.resize(first + self.cells.columns, Kind::Null);
        first
    }

    fn place(&mut self, key: &str) -> Option<usize> {
        let guessed = self.plan.columns.get(self.next).is_some_and(|column| column.name == key);
        let place = if guessed { self.next } else { *self.plan.places.get(key)? };
        self.next = place + 1;
        Some(place)
    }

    /// The kind of a value and where its text is.
    fn text_of(&mut self, value: &RawValue) -> Result<(Kind, usize, usize), serde_json::Error> {
        let json = value.get();
        // The value is a part of `text`, so their addresses tell its place.
        let start = self.base + (json.as_ptr() as usize - self.text.as_ptr() as usize);
        let kind = match json.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'{' | b'[') => Kind::Nested,
            Some(b'"') => {
                if !json.contains('\\') {
                    return Ok((Kind::Text, start + 1, start + json.len() - 1));
                }
                let text: String = serde_json::from_str(json)?;
                let place = self.cells.text.len();
                self.cells.text.push_str(&text);
                return Ok((Kind::Text, place, place + text.len()));
            }
            _ => Kind::Number,
        };
        Ok((kind, start, start + json.len()))
    }
}

/// What is done with each key and value of an object.
trait Sink {
    fn pair(&mut self, key: &str, value: &RawValue) -> Result<(), serde_json::Error>;
}

impl<F: FnMut(&str, &RawValue) -> Result<(), serde_json::Error>> Sink for F {
    fn pair(&mut self, key: &str, value: &RawValue) -> Result<(), serde_json::Error> {
        self(key, value)
    }
}

impl Sink for Row<'_> {
    fn pair(&mut self, key: &str, value: &RawValue) -> Result<(), serde_json::Error> {
        let Some(place) = self.place(key) else {
            self.unknown.get_or_insert_with(|| key.to_owned());
            return Ok(());
        };
        let (kind, start, end) = self.text_of(value)?;
        if end - start > self.plan.limits.field_bytes {
            self.too_long = Some(end - start);
        }
        let cell = self.cells.fields.len() - self.cells.columns + place;
        // (0, 0) is the place of no value: even an empty string lies behind its quote.
        if self.cells.fields[cell] != (0, 0) {
            return Err(serde_json::Error::custom(format!("the key `{key}` twice")));
        }
        self.cells.fields[cell] = (offset(start), offset(end));
        self.cells.kinds[cell] = kind;
        Ok(())
    }
}

fn objects(record: &str, sink: &mut dyn Sink) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(record);
    Object(sink).deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Object<'a>(&'a mut dyn Sink);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            self.0.pair(&key, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

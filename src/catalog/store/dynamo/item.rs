//! Items: records as attributes of DynamoDB, and back.
//!
//! Names are camelCase. A time is its Unix seconds under its own name, as the contract has it, and its microseconds
//! under the same name and `Micros`. Reading is lenient where a default says the same as an absent attribute, so that
//! an item which an older version wrote still reads.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalog::store::StoreError;
use crate::clock::Timestamp;

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// Bytes of an item that DynamoDB takes, names of attributes included.
pub(super) const ITEM_BYTES_MAX: usize = 400 * 1024;
/// JSON of more bytes is stored compressed: what is found in a file of thousands of columns would not fit otherwise.
const PLAIN_JSON_BYTES_MAX: usize = 64 * 1024;
/// JSON of so many bytes was never written, whatever its compressed form says.
const JSON_BYTES_MAX: usize = 64 << 20;
const COMPRESSION_LEVEL: i32 = 3;

/// An item to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Item(Attributes);

impl Item {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(super) fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, text(value))
    }

    pub(super) fn optional_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(super) fn number(self, name: &str, value: impl Display) -> Self {
        self.set(name, number(value))
    }

    pub(super) fn optional_number(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.set(name, AttributeValue::Bool(value))
    }

    pub(super) fn time(self, name: &str, value: Timestamp) -> Self {
        self.number(name, value.seconds()).number(&format!("{name}Micros"), value.micros())
    }

    /// A time as [`exact`] writes it.
    pub(super) fn exact_time(self, name: &str, value: Timestamp) -> Self {
        self.number(name, exact(value))
    }

    /// Texts as a list of DynamoDB's own, for those who read it with no program of ours.
    pub(super) fn texts<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.set(name, AttributeValue::L(values.into_iter().map(text).collect()))
    }

    pub(super) fn map(self, name: &str, value: Self) -> Self {
        self.set(name, AttributeValue::M(value.0))
    }

    /// One word of an enumeration, as it is in JSON.
    pub(super) fn word(self, name: &str, value: impl Serialize) -> Result<Self, StoreError> {
        match serde_json::to_value(value) {
            Ok(Value::String(word)) => Ok(self.text(name, word)),
            other => Err(StoreError::Corrupt(format!("`{name}` is no word: {other:?}"))),
        }
    }

    /// JSON as text, because numbers and depth of DynamoDB's own documents are not those of JSON.
    pub(super) fn json(self, name: &str, value: &impl Serialize) -> Result<Self, StoreError> {
        let unwritable = |cause: &dyn Display| StoreError::Corrupt(format!("`{name}`: {cause}"));
        let json = serde_json::to_string(value).map_err(|cause| unwritable(&cause))?;
        if json.len() <= PLAIN_JSON_BYTES_MAX {
            return Ok(self.text(name, json));
        }
        let packed =
            zstd::bulk::compress(json.as_bytes(), COMPRESSION_LEVEL).map_err(|cause| unwritable(&cause))?;
        Ok(self.set(name, AttributeValue::B(Blob::new(packed))))
    }

    /// As DynamoDB counts them, rounded up.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + bytes_of(value)).sum()
    }

    /// The attributes, if they fit into an item.
    pub(super) fn finish(self, what: impl FnOnce() -> String) -> Result<Attributes, StoreError> {
        let bytes = self.bytes();
        if bytes > ITEM_BYTES_MAX {
            let what = format!("{} ({bytes} bytes, at most {ITEM_BYTES_MAX})", what());
            return Err(StoreError::TooLarge(what));
        }
        Ok(self.0)
    }
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A primary key of one attribute.
pub(super) fn key(name: &str, value: impl Into<String>) -> Attributes {
    HashMap::from([(name.to_owned(), text(value))])
}

/// A time as one number, whose fraction are its microseconds: for a key, which has to be one of its own.
pub(super) fn exact(time: Timestamp) -> String {
    let (sign, micros) = (if time.micros() < 0 { "-" } else { "" }, time.micros().unsigned_abs());
    let digits = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    // As DynamoDB gives it back.
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn exactly(digits: &str) -> Option<Timestamp> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // What others write may be finer.
    let fraction = &fraction[..fraction.len().min(6)];
    let micros = format!("{whole}{fraction:0<6}").parse().ok()?;
    Some(Timestamp::from_micros(micros))
}

/// Sorts as text like (`time`, `rest`) does: the sort keys of our own indexes.
pub(super) fn age(time: Timestamp, rest: &str) -> String {
    format!("{}#{rest}", moment(time))
}

/// Sorts before every [`age`] of the same time, and after those of every earlier time.
pub(super) fn moment(time: Timestamp) -> String {
    // Times before 1970 sort too: the sign bit is turned over.
    format!("{:020}", time.micros().cast_unsigned() ^ (1 << 63))
}

fn bytes_of(value: &AttributeValue) -> usize {
    const NUMBER_BYTES_MAX: usize = 21;
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + bytes_of(value)).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + bytes_of(value)).sum::<usize>()
        }
        _ => NUMBER_BYTES_MAX,
    }
}

/// An item that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    /// As messages call it: `user`.
    noun: &'static str,
    attributes: &'a Attributes,
}

impl<'a> Fields<'a> {
    pub(super) fn of(noun: &'static str, attributes: &'a Attributes) -> Self {
        Self { noun, attributes }
    }

    pub(super) fn text(&self, name: &str) -> Result<String, StoreError> {
        match self.attributes.get(name) {
            Some(AttributeValue::S(text)) => Ok(text.clone()),
            _ => Err(self.wrong(name, "text")),
        }
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<String> {
        self.text(name).ok()
    }

    /// Text that is absent when it is empty.
    pub(super) fn text_or_empty(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// Text of a form of its own, such as an id.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| self.wrong(name, std::any::type_name::<T>()))
    }

    pub(super) fn optional_parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, StoreError> {
        if self.attributes.contains_key(name) { self.parsed(name).map(Some) } else { Ok(None) }
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, StoreError> {
        match self.attributes.get(name) {
            Some(AttributeValue::N(digits)) => digits.parse().map_err(|_| self.wrong(name, "a number")),
            _ => Err(self.wrong(name, "a number")),
        }
    }

    pub(super) fn number_or<T: FromStr>(&self, name: &str, default: T) -> Result<T, StoreError> {
        if self.attributes.contains_key(name) { self.number(name) } else { Ok(default) }
    }

    pub(super) fn optional_number<T: FromStr>(&self, name: &str) -> Result<Option<T>, StoreError> {
        if self.attributes.contains_key(name) { self.number(name).map(Some) } else { Ok(None) }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.attributes.get(name), Some(AttributeValue::Bool(true)))
    }

    pub(super) fn time(&self, name: &str) -> Result<Timestamp, StoreError> {
        // What others write may have a fraction.
        let seconds = match self.attributes.get(name) {
            Some(AttributeValue::N(digits)) => digits.split('.').next().and_then(|whole| whole.parse().ok()),
            _ => None,
        };
        let seconds: i64 = seconds.ok_or_else(|| self.wrong(name, "Unix seconds"))?;
        let micros = self.number::<i64>(&format!("{name}Micros")).ok().map(Timestamp::from_micros);
        // Whoever sets the seconds by hand means it.
        let agrees = micros.filter(|micros| micros.seconds() == seconds);
        Ok(agrees.unwrap_or_else(|| Timestamp::from_micros(seconds.saturating_mul(1_000_000))))
    }

    /// A time as [`exact`] writes it.
    pub(super) fn exact_time(&self, name: &str) -> Result<Timestamp, StoreError> {
        let time = match self.attributes.get(name) {
            Some(AttributeValue::N(digits)) => exactly(digits),
            _ => None,
        };
        time.ok_or_else(|| self.wrong(name, "Unix seconds"))
    }

    pub(super) fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        if self.attributes.contains_key(name) { self.time(name).map(Some) } else { Ok(None) }
    }

    pub(super) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, StoreError> {
        if self.attributes.contains_key(name) { self.time(name) } else { Ok(default) }
    }

    pub(super) fn map(&self, name: &str) -> Result<Fields<'a>, StoreError> {
        match self.attributes.get(name) {
            Some(AttributeValue::M(attributes)) => Ok(Fields { noun: self.noun, attributes }),
            _ => Err(self.wrong(name, "a map")),
        }
    }

    pub(super) fn word<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_value(Value::String(self.text(name)?))
            .map_err(|_| self.wrong(name, "a word we know"))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        let read = match self.attributes.get(name) {
            Some(AttributeValue::S(json)) => serde_json::from_str(json),
            Some(AttributeValue::B(packed)) => {
                let json = zstd::bulk::decompress(packed.as_ref(), JSON_BYTES_MAX);
                serde_json::from_slice(&json.map_err(|_| self.wrong(name, "compressed JSON"))?)
            }
            _ => return Err(self.wrong(name, "JSON")),
        };
        read.map_err(|cause| self.wrong(name, &format!("a {}: {cause}", std::any::type_name::<T>())))
    }

    pub(super) fn json_or<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T, StoreError> {
        if self.attributes.contains_key(name) { self.json(name) } else { Ok(default) }
    }

    /// The error for a value that is not what it should be. Values may be secret, so the message has only its kind.
    fn wrong(&self, name: &str, expected: &str) -> StoreError {
        let found = match self.attributes.get(name) {
            None => "nothing",
            Some(AttributeValue::S(_)) => "text",
            Some(AttributeValue::N(_)) => "a number",
            Some(AttributeValue::M(_)) => "a map",
            Some(_) => "something else",
        };
        StoreError::Corrupt(format!("`{name}` of a {}: expected {expected}, found {found}", self.noun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_microseconds_and_sort_as_text() {
        let moments = [i64::MIN, -1_000_001, -1, 0, 1, 999_999, 1_700_000_000_123_456, i64::MAX];
        let mut last = String::new();
        for micros in moments {
            let time = Timestamp::from_micros(micros);
            let item = Item::new().time("at", time).0;
            assert_eq!(Fields::of("test", &item).time("at").unwrap(), time);
            assert!(moment(time) < age(time, "") && last < moment(time), "{micros}");
            last = age(time, "~");
        }
    }

    #[test]
    fn one_number_can_be_a_whole_time() {
        check(0, "0");
        check(1_700_000_000_000_000, "1700000000");
        check(1_700_000_000_120_000, "1700000000.12");
        check(1_700_000_000_000_001, "1700000000.000001");
        check(-1, "-0.000001");
        check(-2_500_000, "-2.5");
        check(i64::MIN, "-9223372036854.775808");

        #[track_caller]
        fn check(micros: i64, digits: &str) {
            let item = Item::new().exact_time("at", Timestamp::from_micros(micros)).0;
            assert_eq!(item["at"], number(digits));
            assert_eq!(Fields::of("test", &item).exact_time("at").unwrap(), Timestamp::from_micros(micros));
        }

        let finer = Item::new().number("at", "1.1234567").0;
        assert_eq!(Fields::of("test", &finer).exact_time("at").unwrap(), Timestamp::from_micros(1_123_456));
        let none = Item::new().number("at", "1.x").0;
        Fields::of("test", &none).exact_time("at").unwrap_err();
    }

    #[test]
    fn seconds_that_somebody_changed_count() {
        let item = Item::new().time("at", Timestamp::from_micros(5_500_000));
        let moved = item.clone().number("at", 7).0;
        assert_eq!(Fields::of("test", &moved).time("at").unwrap(), Timestamp::from_seconds(7));
        let fraction = Item::new().number("at", "7.25").0;
        assert_eq!(Fields::of("test", &fraction).time("at").unwrap(), Timestamp::from_seconds(7));
    }

    #[test]
    fn json_of_any_size_comes_back() {
        let numbers = serde_json::json!([u64::MAX, 1e300, -0.5, "é 🙂", { "a": { "b": null } }]);
        let long = serde_json::json!((0..20_000).map(|n| format!("column {n}")).collect::<Vec<_>>());
        for value in [numbers, long] {
            let item = Item::new().json("value", &value).unwrap().finish(String::new).unwrap();
            assert_eq!(Fields::of("test", &item).json::<Value>("value").unwrap(), value);
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_size() {
        let item = |bytes: usize| Item::new().text("a", "x".repeat(bytes - 1));
        item(ITEM_BYTES_MAX).finish(String::new).unwrap();
        let error = item(ITEM_BYTES_MAX + 1).finish(|| "dataset `x`".to_owned()).unwrap_err();
        assert!(error.to_string().starts_with("dataset `x` (409601 bytes, at most 409600)"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let item = Item::new().text("age", "secret").0;
        let error = Fields::of("user", &item).number::<u64>("age").unwrap_err().to_string();
        assert!(error.contains("`age` of a user: expected a number, found text"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

//! NDJSON: exact numbers, dates, nested values, keys that come and go, and lines that are wrong.

use super::{
    super::{ColumnType, DecodeLimits, ReadOptions},
    support::{read, read_with, source},
};

#[test]
fn types_and_values() {
    let text = concat!(
        r#"{"id":18446744073709551615,"n":1,"f":1.5,"day":"2024-01-05","code":"5","ok":true,"o":{"a":[1, 2]},"s":"a\n\"b\""}"#,
        "\n\n",
        r#"{"s":"表","n":null,"ok":false,"f":-2,"id":7}"#,
        "\r\n"
    );
    let read = read("t.ndjson", text).unwrap();
    assert_eq!(read.types(), "id:uint64 n:int64 f:float64 day:date code:string ok:bool o:string s:string");
    assert_eq!(
        read.rows(),
        ["18446744073709551615|1|1.5|2024-01-05|5|true|{\"a\":[1, 2]}|a\n\"b\"", "7|-|-2.0|-|-|false|-|表"]
    );
    assert_eq!(read.bad, []);
}

#[test]
fn a_late_key_becomes_a_column() {
    let mut text = String::new();
    (0..60_000).for_each(|row| text.push_str(&format!("{{\"n\":{row},\"s\":\"abcdefghij\"}}\n")));
    text.push_str("{\"late\":1.5,\"n\":2}\n");
    let read = read("t.jsonl", text.clone()).unwrap();
    assert_eq!((read.types().as_str(), read.restarts), ("n:int64 s:string late:float64", 1));
    assert_eq!((read.rows().len(), read.rows().last().unwrap().as_str()), (60_001, "2|-|1.5"));

    let first = super::support::read("t.jsonl", "{\"n\":1,\"s\":\"x\"}\n").unwrap().contract.kept();
    let again = super::support::parse(&source("t.jsonl", text), &first, &DecodeLimits::default()).unwrap();
    assert_eq!(again.2, []);
    assert_eq!(again.1.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["`late` is no column"]);
}

#[test]
fn wrong_lines_are_set_aside() {
    let read = read("t.ndjson", "{\"a\":1}\n{\"a\":\n[1]\n{\"a\":1,\"a\":2}\n{\"a\":1} x\nnope\n{\"a\":2}\n")
        .unwrap();
    assert_eq!(read.rows(), ["1", "2"]);
    assert_eq!(read.bad.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(read.bad[2].reason.contains("the key `a` twice"), "{}", read.bad[2].reason);
    assert_eq!(read.bad[1].raw, "[1]");
}

#[test]
fn text_that_looks_like_a_number_becomes_one_only_when_named() {
    let text = "{\"a\":\"007\"}\n";
    assert_eq!(read("t.ndjson", text).unwrap().types(), "a:string");
    let options =
        ReadOptions { types: [("a".to_owned(), ColumnType::Int64)].into(), ..ReadOptions::default() };
    let named = read_with(&source("t.ndjson", text), &options, &DecodeLimits::default()).unwrap();
    assert_eq!(named.rows(), ["7"]);
}

#[test]
fn a_number_column_that_turns_to_text_is_text() {
    let mut text = "{\"a\":1}\n".repeat(200_000);
    text.push_str("{\"a\":\"1\"}\n");
    let read = read("t.ndjson", text).unwrap();
    assert_eq!((read.types().as_str(), read.restarts), ("a:string", 1));
}
